"""The decided numbers of replicas, served as `external.metrics.k8s.io/v1beta1`: what an HPA asks for.

    kube-apiserver ──(client certificate, X-Remote-User)──> listener ──> app ──> request header, access review
                                                                           └──> replica metric <── store (Model status)
    leader ──> registration ──> Secret with CA and certificate, APIService with that CA

Every manager answers, and alike: the leader has written each decision into the status of its Model, and all have that
by their watches. So autoscalers go on while no manager leads.
"""
