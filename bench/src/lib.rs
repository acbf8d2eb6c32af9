//! Provider simulator, load generator and comparison runs.

pub mod budgets;
pub mod chaos;
pub mod floor;
pub mod judge;
pub mod load;
pub mod mesh;
pub mod report;
pub mod rival;
mod runner;
pub mod simulate;
pub mod versus;
