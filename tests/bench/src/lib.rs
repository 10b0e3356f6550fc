//! What the functions cost: measured on a stand that plays AWS, beside peers that do the same work, and held by a guard.
//!
//! Role: `cargo benchmark` measures in one run and writes `infra/docs/performance.md` and `infra/docs/cost.md`; `cargo
//! benchmark guard`, which `cargo verify --release` runs, compares counts with `tests/scale.json`. Promise: figures are those
//! of the programs as they are deployed, and nothing is published of a run in which a program did less than it should.
//!
//! [`stand`] plays AWS, [`program`] runs a program as Lambda does, [`splitting`] measures what is done without AWS, [`measure`]
//! says which runs are clean, [`cost`] makes dollars of counts, [`budgets`] says what may be taken, [`pages`] writes.

pub mod budgets;
pub mod cost;
pub mod guard;
pub mod items;
pub mod measure;
pub mod pages;
pub mod payloads;
pub mod peers;
pub mod program;
pub mod run;
pub mod splitting;
pub mod stand;
pub mod tls;
