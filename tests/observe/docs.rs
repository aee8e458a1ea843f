//! The pages of `docs/` that the program writes.

use crate::process::putgate;
use crate::root;

#[tokio::test(flavor = "multi_thread")]
async fn the_configurations_reference_is_the_one_the_program_prints() {
    let said = putgate(&["check", "--docs"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let kept = std::fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    assert!(
        kept == said.out,
        "the configuration has changed: putgate check --docs >docs/configuration.md"
    );
}
