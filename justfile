# The steps of `.ci/run`, one by one. `just` alone lists them.

default:
    @just --list

# Formatting, as CI checks it.
fmt:
    cargo fmt --all --check

# Lints, with warnings as errors.
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Rings 1 and 2: no network, no cluster.
test:
    cargo test --workspace --locked

# The documentation, without warnings.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Ring 3: the same suites against the API server of $KUBECONFIG.
cluster:
    cargo test -p kube-memory -p relay-metadata -p relay-reconcile -p relay-bin --locked -- --ignored --skip nightly --skip real_vault

# Ring 3: the suites of Vault against the server of $VAULT_ADDR, or an OpenBao of their own.
vault:
    .ci/vault

# Licences, versions and origins of dependencies, with cargo-deny; `just deny advisories` asks the
# network for known flaws.
deny *checks="licenses bans sources":
    cargo deny check {{checks}}

# Each parser with random input, for so many seconds; takes a nightly toolchain and cargo-fuzz.
fuzz seconds="60":
    cd fuzz && for target in yaml template jsonpath transfer; do \
        cargo +nightly fuzz run -s none $target -- -max_total_time={{seconds}} || exit 1; \
    done

# Image archives in target/images, with no daemon.
images:
    images/pack

# Runs in pods, on a node with the real Tekton.
tekton:
    .ci/tekton

# Everything that CI runs.
ci:
    .ci/run

# Ring 4: what takes too long for every change.
nightly: ci fuzz tekton
    cargo test --release --locked -p relay-local --test executor -- --ignored --nocapture --test-threads 1
    ../shared/controlplane/with cargo test --release --locked -p relay-bin --test operator -- --ignored --nocapture nightly
    PROPTEST_CASES=20000 cargo test --workspace --locked --release
    RELAY_FAULT_SEEDS=500 cargo test --release --locked -p relay-reconcile --test reconcile fifth
    cargo test --release --locked -p relay-reconcile --test reconcile thousand -- --ignored --nocapture
    cargo bench --locked -p relay-core -p relay-local
