"""A scikit-learn model for MLServer. Arguments: the folder to put it into, HTTP port, gRPC port, metrics port."""

import json
import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

folder, (http, grpc, metrics) = Path(sys.argv[1]), map(int, sys.argv[2:])
data = load_iris()
joblib.dump(LogisticRegression(max_iter=500).fit(data.data, data.target), folder / "model.joblib")
model = {
    "name": "ranker",
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": "./model.joblib"},
    "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1, 4]}],
}
settings = {
    "host": "127.0.0.1",
    "http_port": http,
    "grpc_port": grpc,
    "metrics_port": metrics,
    "parallel_workers": 0,
    "debug": False,
}
(folder / "model-settings.json").write_text(json.dumps(model))
(folder / "settings.json").write_text(json.dumps(settings))
