//! Health checks for load balancers: pure schedules and verdicts, thin probes.
