//! Texts kept in the tree, for a person to look at. `PUTGATE_GOLDEN=write` writes them anew.

use std::path::Path;

/// Whether `text` is the one in `tests/golden/{room}/{name}.txt`.
#[track_caller]
pub fn assert_golden(room: &str, name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(room)
        .join(format!("{name}.txt"));
    #[expect(clippy::disallowed_methods, reason = "a test's own variable")]
    let write = std::env::var("PUTGATE_GOLDEN").is_ok_and(|word| word == "write");
    if write {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "{}: wanted\n{golden}\ngot\n{text}",
        path.display()
    );
}
