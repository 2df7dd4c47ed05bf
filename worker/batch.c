#include "worker/batch.h"

cJSON *batch_task(const struct task_request *req, struct err *e)
{
    err_set(e, ERR_PERMANENT, "NotImplementedError", "%s: the batch is not in this build", req->id);
    return NULL;
}
