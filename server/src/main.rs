//! The program `graft`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    wait_passively();
    cli::main()
}

/// Lets OpenMP's threads sleep while they wait for one another, unless the user wants otherwise. They would spin, and beside
/// other programs a step of training would wait longer than it computes. OpenMP reads this when oneDNN is loaded.
fn wait_passively() {
    const POLICY: &str = "OMP_WAIT_POLICY";
    #[expect(clippy::disallowed_methods, reason = "a setting of OpenMP, not of graft")]
    if std::env::var_os(POLICY).is_none() {
        #[expect(unsafe_code, reason = "the environment is changed")]
        // SAFETY: the process has no other thread yet that could read it meanwhile.
        unsafe {
            std::env::set_var(POLICY, "passive");
        }
    }
}
