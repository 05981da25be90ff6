"""An embedded Kubernetes API: as much of it as the manager and its surroundings use, for one machine.

http ──> registry (what kinds there are) ──> store (objects, versions, history, one file)
                                └──> apply (field managers) ──> paths (which fields are whose)
"""
