"""A Ray cluster of two nodes on loopback: prints its address, and loses a node when told to.

Run as a script, since Ray would otherwise live in the process of the tests. It ends with its input.
"""

import sys

from ray.cluster_utils import Cluster

# not 127.0.0.1, in whose place Ray puts the machine's address in the network
HEAD, OTHER = "127.0.0.2", "127.0.0.3"

if __name__ == "__main__":
    head = {"num_cpus": 1, "node_ip_address": HEAD, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    node = cluster.add_node(num_cpus=1, node_ip_address=OTHER)
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    for _ in sys.stdin:
        cluster.remove_node(node, allow_graceful=False)
        print("killed", flush=True)
    cluster.shutdown()
