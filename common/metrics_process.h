#ifndef COMMON_METRICS_PROCESS_H
#define COMMON_METRICS_PROCESS_H

#include "common/metrics.h"

/* What every program says of its process, by the names that Prometheus' client libraries use, and
 * aion2_build_info. */
void process_metrics_register(void);
/* Looks at the process now. */
void process_metrics_collect(void);

#endif
