"""What `tidegate serve` takes for registered models in MLflow."""

import pytest
import typer

from k8s_manager.cli.server_commands.registry_options import RegistryOptions, mlflow_settings
from k8s_manager.runtime.settings import MlflowSettings

URL = "http://mlflow.ml.svc:5000"


def given(url: str = URL, names: str = "*") -> RegistryOptions:
    return RegistryOptions(mlflow_url=url, mlflow_names=names)


def test_an_address_is_all_that_it_takes():
    assert mlflow_settings(RegistryOptions()) is None
    assert mlflow_settings(given()) == MlflowSettings(URL)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (given("mlflow:5000"), "is no URL"),
        (given("file:///etc/passwd"), "is no URL"),
        (given("http://user:secret@mlflow"), "is no URL"),
        (given("http://mlflow/?x=1"), "is no URL"),
        (given(names="{team}.*"), "is no pattern"),
        (given(names="{tenant}-*"), "what no tenant's name has"),
        (given(names="a*b"), "is no pattern"),
        (given(names="{tenant}*"), "other tenants"),
    ],
)
def test_what_is_no_address_or_no_pattern_is_said(options, said):
    with pytest.raises(typer.BadParameter, match=said):
        mlflow_settings(options)


@pytest.mark.parametrize(
    ("names", "allowed", "others"),
    [
        ("*", ["ranker", "ads.ranker"], []),
        ("{tenant}.*", ["search.ranker"], ["search", "search-ads.ranker", "ads.ranker", "searchx"]),
        ("ml {tenant}_*", ["ml search_ranker"], ["search_ranker", "ml ads_x"]),
        ("{tenant}", ["search"], ["search.ranker", "ads"]),
    ],
)
def test_a_tenants_own_registered_models_are_those_of_the_pattern(names, allowed, others):
    settings = mlflow_settings(given(names=names))
    assert settings is not None
    assert [settings.allows("search", name) for name in (*allowed, *others)] == [True] * len(allowed) + [False] * len(
        others
    )
