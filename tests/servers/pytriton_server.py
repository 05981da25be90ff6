"""A real Triton, by way of PyTriton, with one model. Arguments: HTTP port, gRPC port, metrics port."""

import sys

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


@batch
def score(x):
    """Return the mean of each row."""
    return [x.mean(axis=1, keepdims=True).astype(np.float32)]


http, grpc, metrics = map(int, sys.argv[1:])
config = TritonConfig(http_address="127.0.0.1", http_port=http, grpc_port=grpc, metrics_port=metrics)
with Triton(config=config) as triton:
    triton.bind(
        model_name="ranker",
        infer_func=score,
        inputs=[Tensor(name="x", dtype=np.float32, shape=(4,))],
        outputs=[Tensor(name="score", dtype=np.float32, shape=(1,))],
        config=ModelConfig(max_batch_size=16),
    )
    triton.serve()
