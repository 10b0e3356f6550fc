//! The stories' own stores keep the contract that the tables and secrets keep.

use std::sync::Arc;

use crate::contract;
use crate::world::{MemoryAccounts, MemorySecrets};

#[tokio::test]
async fn the_accounts_in_memory_keep_the_contract() {
    contract::accounts(&MemoryAccounts::default()).await;
}

#[tokio::test]
async fn the_secrets_in_memory_keep_the_contract() {
    contract::secrets(&MemorySecrets::new(&Arc::default())).await;
}
