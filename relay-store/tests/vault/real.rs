//! The suite on a real Vault or OpenBao:
//! `VAULT_ADDR=… VAULT_TOKEN=… cargo test -p relay-store --test vault -- --ignored`.
//!
//! The token mounts engines and logins under names of their own, writes a policy, and takes them
//! away again: it needs `create`, `read`, `update`, `delete` and `sudo` on `sys/mounts/*`,
//! `sys/auth/*` and `sys/policies/acl/*`, and `create`, `update` and `read` on what it mounted. The
//! root token of a development server has all that.

use crate::owner::Owner;
use crate::suite;

#[tokio::test]
#[ignore = "needs a Vault: VAULT_ADDR and VAULT_TOKEN"]
async fn the_suite_holds_on_a_real_vault() {
    let owner = Owner::from_env();
    let stage = owner.stage().await;
    // Where it does not, the mounts stay, to be looked at.
    suite::all(&stage).await;
    owner.clear(&stage).await;
}
