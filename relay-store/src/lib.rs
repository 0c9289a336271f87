//! The stores of relay-core on Kubernetes.
