//! Every example runs and says what it should.

use std::path::Path;
use std::process::Command;

/// Runs an example and returns what it wrote.
fn run(example: &str, arguments: &[&Path]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--example", example, "--"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let Ok(output) = output else {
        panic!("{example} could not be run: {output:?}");
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example} failed: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn produce_consume_goes_on_in_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let first = run("produce_consume", &[&data]);
    let expect = "sent ada's order to offset 0\n\
                  sent grace's order to offset 1\n\
                  sent ada's order to offset 2\n\
                  bill ada for 2 x notebook\n\
                  bill grace for 1 x compass\n\
                  bill ada for 12 x pencil\n";
    assert_eq!(first, expect);
    // The second run bills what the second run sent: the group remembers.
    let second = run("produce_consume", &[&data]);
    assert!(second.contains("to offset 5\n"), "{second}");
    assert_eq!(second.matches("bill").count(), 3, "{second}");
}

#[test]
fn event_sourcing_rebuilds_its_accounts() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let first = run("event_sourcing", &[&data]);
    let expect = "grace cannot withdraw 9999: only 250 cents are there\n\
                  ada: 600 cents after 3 events\n\
                  grace: 250 cents after 2 events\n";
    assert_eq!(first, expect);
    let second = run("event_sourcing", &[&data]);
    assert!(
        second.contains("ada: 1200 cents after 5 events"),
        "{second}"
    );
    assert!(
        second.contains("grace: 500 cents after 3 events"),
        "{second}"
    );
}

#[test]
fn wordcount_counts_the_bundled_text() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let first = run("wordcount", &[Path::new("--data"), &data]);
    assert_eq!(first.lines().count(), 21, "{first}");
    assert!(first.lines().nth(1).unwrap().ends_with("  the"), "{first}");
    // The same text adds nothing.
    assert_eq!(run("wordcount", &[Path::new("--data"), &data]), first);
}
