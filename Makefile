# Every task of a developer, each one command. `make test` is the one that CI runs.

.PHONY: run test lint bench deny

# The gateway with a simulated provider behind it: no config, account or network needed.
run:
	cargo run --release -- demo

# Installs what the tests need where it is missing, then runs everything.
test:
	tests/run

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

# This gateway, nginx, HAProxy and a bare forwarder in one run; see bench/README.md.
bench:
	cargo run --release -p coo-bench -- versus

# Licences and security advisories of the dependencies; `cargo install --locked cargo-deny` first.
deny:
	cargo deny --workspace check
