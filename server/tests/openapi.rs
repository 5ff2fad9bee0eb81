//! The checked-in description of the HTTP interface is the program's.

use std::path::Path;
use std::process::Command;

#[test]
fn the_checked_in_description_is_up_to_date() {
    let printed = Command::new(env!("CARGO_BIN_EXE_graft")).arg("openapi").output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/openapi.json");
    let stored = std::fs::read(&path).unwrap();
    assert!(stored == printed.stdout, "openapi/openapi.json is not what `graft openapi` prints; run `just openapi`");
}
