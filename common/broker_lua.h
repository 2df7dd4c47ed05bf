#ifndef COMMON_BROKER_LUA_H
#define COMMON_BROKER_LUA_H

#include "common/script.h"

/* The texts behind broker.h; each names its keys and arguments at its top. */
extern struct script BROKER_LUA_REGISTER, BROKER_LUA_HEARTBEAT, BROKER_LUA_UNREGISTER,
    BROKER_LUA_TAKE, BROKER_LUA_ADOPT, BROKER_LUA_FINISH, BROKER_LUA_POSTPONE, BROKER_LUA_REQUEUE,
    BROKER_LUA_LOST, BROKER_LUA_QUARANTINE, BROKER_LUA_DUE;

#endif
