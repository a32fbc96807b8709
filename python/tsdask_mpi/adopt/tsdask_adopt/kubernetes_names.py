"""The names of dask-kubernetes: its classic classes and those of its operator (`dask_kubernetes.operator`)."""

from types import SimpleNamespace

from . import growth
from .compat import cluster_classes


def names(cluster_class):
    """
    Return submodule → name → what the stand-in has there; `cluster_class(name, module)` makes a class whose objects are
    handles.
    """
    operator_cluster = with_groups(cluster_class("KubeCluster", "dask_kubernetes.operator"))
    classic_cluster = cluster_class("KubeCluster", "dask_kubernetes.classic")
    templates = {name: classmethod(_from_template) for name in ("from_yaml", "from_dict", "from_pod_spec")}
    cluster_classes.give_methods(classic_cluster, **templates)
    helm = {"HelmCluster": cluster_class("HelmCluster", "dask_kubernetes")}
    specs = {
        "make_cluster_spec": make_cluster_spec,
        "make_scheduler_spec": make_scheduler_spec,
        "make_worker_spec": make_worker_spec,
    }
    operator = {"KubeCluster": operator_cluster, **specs}
    pods = {"make_pod_spec": make_pod_spec, "make_pod_from_dict": _as_objects, "clean_pod_template": _unchanged}
    auth = {
        name: type(name, (), {"__init__": _take_anything})
        for name in ("ClusterAuth", "KubeAuth", "KubeConfig", "InCluster")
    }
    return {
        "": {"KubeCluster": classic_cluster, **helm, **pods, **auth},
        "operator": operator,
        "operator.kubecluster": operator,
        "experimental": operator,
        "classic": {"KubeCluster": classic_cluster, **pods},
        "helm": helm,
        "common": {},
        "common.objects": pods,
        "common.auth": auth,
    }


def with_groups(cls):
    """Gives a class of cluster the operator's methods for groups of workers: a launch has one."""
    from_name = classmethod(lambda cls, name, **words: cls(name=name, **words))
    cluster_classes.give_methods(
        cls, add_worker_group=_add_worker_group, delete_worker_group=_unchanged_group, from_name=from_name
    )
    return cls


def _add_worker_group(self, name, n_workers=3, *_, **__):
    growth.scale(self, len(self.scheduler_info["workers"]) + n_workers)


def _unchanged_group(self, *_, **__):
    return None


def _from_template(cls, *_, **words):
    return cls(**words)


def _take_anything(self, *_, **__):
    return None


def _unchanged(template, *_, **__):
    return template


def make_worker_spec(image="", n_workers=3, resources=None, env=None, worker_command="dask-worker", **_):
    """Return a worker group as a DaskCluster resource has it, for scripts that change one before they pass it on."""
    return {
        "replicas": n_workers,
        "spec": {"containers": [_container("worker", image, worker_command, resources, env)]},
    }


def make_scheduler_spec(cluster_name="", image="", resources=None, env=None, scheduler_service_type="ClusterIP", **_):
    """Return the scheduler of a DaskCluster resource."""
    return {
        "spec": {"containers": [_container("scheduler", image, "dask-scheduler", resources, env)]},
        "service": {"type": scheduler_service_type, "selector": {"dask.org/cluster-name": cluster_name}, "ports": []},
    }


def make_cluster_spec(name="", image="", n_workers=None, resources=None, env=None, worker_command="dask-worker", **_):
    """Return a DaskCluster resource."""
    worker = make_worker_spec(image, n_workers, resources, env, worker_command)
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {"name": name},
        "spec": {"worker": worker, "scheduler": make_scheduler_spec(name, image, resources, env)},
    }


def _container(name, image, command, resources, env):
    args = command.split(" ") if isinstance(command, str) else list(command)
    return {"name": name, "image": image, "args": args, "env": env or [], "resources": resources or {}}


def make_pod_spec(image="", labels=None, env=None, **_):
    """Return a pod template with the attributes of the Kubernetes client's V1Pod that scripts change."""
    container = {**_container("dask", image, "dask-worker", None, []), "volume_mounts": []}
    pod = _as_objects(
        {"metadata": {"name": None}, "spec": {"containers": [container], "volumes": [], "tolerations": []}}
    )
    pod.metadata.labels, pod.metadata.annotations = dict(labels or {}), {}
    pod.spec.containers[0].resources = SimpleNamespace(limits={}, requests={})
    pod.spec.containers[0].env = [SimpleNamespace(name=name, value=value) for name, value in (env or {}).items()]
    return pod


def _as_objects(value, **_):
    if isinstance(value, dict):
        return SimpleNamespace(**{name: _as_objects(one) for name, one in value.items()})
    return [_as_objects(one) for one in value] if isinstance(value, list) else value
