"""Readers of signals: requests from collectors, usage of pods, queries to Prometheus. None of them ever raises.

collectors ──────────────> requests (demand, concurrency, latency) ─┐
metrics API, Prometheus ─> usage (cpu, memory, gpu, gpuMemory) ─────┼─> SignalReaders ─> readings, or sentences
Prometheus ──────────────> queries (queue and every other name) ────┘
"""
