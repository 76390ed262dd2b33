//! The memo saves work and changes nothing.

mod fixture;

use evalc_plan::plan::Plan;
use fixture::{choices, ir, question, questions, Folder};
use serde_json::{json, Value};

fn made(folder: &Folder, spec: &Value) -> Plan {
    let memo = folder.0.join("memo");
    Plan::build(spec.to_string().as_bytes(), Some(&memo)).unwrap_or_else(|f| panic!("{f:?}"))
}

fn scratch(spec: &Value) -> Plan {
    Plan::build(spec.to_string().as_bytes(), None).unwrap_or_else(|f| panic!("{f:?}"))
}

/// Everything that a plan says, with and without the memo; returns how many cases were made.
fn same(folder: &Folder, spec: &Value) -> usize {
    let (mut with, mut without) = (made(folder, spec), scratch(spec));
    assert!(with.keys() == without.keys());
    let none = vec![0; with.keys().len() / 32];
    with.subtract(&none).expect("a byte a key");
    without.subtract(&none).expect("a byte a key");
    let words = |plan: &Plan| serde_json::to_string(&plan.summary()).expect("JSON");
    assert_eq!(words(&with), words(&without));
    assert_eq!(with.expansion(0).ids, without.expansion(0).ids);
    assert_eq!(with.expansion(0).targets, without.expansion(0).targets);
    assert_eq!(with.unique(0), without.unique(0));
    for (a, b) in with.packs(0, 300, 64).iter().zip(without.packs(0, 300, 64)) {
        assert_eq!(
            (&a.tokens, &a.req_key, &a.node_parent),
            (&b.tokens, &b.req_key, &b.node_parent)
        );
    }
    with.fresh()
}

#[test]
fn an_unchanged_task_is_neither_written_nor_tokenised_again() {
    let folder = Folder::new("memo-same");
    let spec = ir(&folder, &questions(60), vec![choices()]);
    assert_eq!(same(&folder, &spec), 60);
    assert_eq!(same(&folder, &spec), 0);
}

#[test]
fn a_changed_inserted_or_deleted_row_costs_that_row() {
    let folder = Folder::new("memo-rows");
    let rows: Vec<String> = (0..60).map(question).collect();
    assert_eq!(same(&folder, &ir(&folder, &rows.concat(), vec![choices()])), 60);
    let mut changed = rows.clone();
    changed[7] = question(1007);
    assert_eq!(same(&folder, &ir(&folder, &changed.concat(), vec![choices()])), 1);
    changed.insert(20, question(2000));
    assert_eq!(same(&folder, &ir(&folder, &changed.concat(), vec![choices()])), 1);
    changed.remove(0);
    assert_eq!(same(&folder, &ir(&folder, &changed.concat(), vec![choices()])), 0);
    changed.push(question(5));
    assert_eq!(same(&folder, &ir(&folder, &changed.concat(), vec![choices()])), 0);
}

#[test]
fn a_word_of_the_template_costs_every_case_and_a_name_costs_none() {
    let folder = Folder::new("memo-template");
    let spec = ir(&folder, &questions(30), vec![choices()]);
    assert_eq!(same(&folder, &spec), 30);
    let mut renamed = spec.clone();
    renamed["tasks"][0]["name"] = json!("another");
    renamed["datasets"][0]["name"] = json!("another");
    renamed["models"][0]["model_id"] = json!("cc");
    assert_eq!(same(&folder, &renamed), 0);
    let mut reworded = spec.clone();
    reworded["tasks"][0]["prompt"] = json!("Q: {{ q }}");
    assert_eq!(same(&folder, &reworded), 30);
    let mut shorter = spec;
    shorter["models"][0]["max_length"] = json!(400);
    assert_eq!(same(&folder, &shorter), 30);
}

#[test]
fn shots_from_the_same_data_make_every_case_depend_on_every_row() {
    let folder = Folder::new("memo-shots");
    let mut task = choices();
    task["fewshot"] = json!({"dataset": 0, "k": 2, "select": "first", "seed": 1,
                             "template": "[{{ q }}]", "separator": "\n"});
    let rows: Vec<String> = (0..30).map(question).collect();
    assert_eq!(same(&folder, &ir(&folder, &rows.concat(), vec![task.clone()])), 30);
    assert_eq!(same(&folder, &ir(&folder, &rows.concat(), vec![task.clone()])), 0);
    assert_eq!(same(&folder, &ir(&folder, &rows[1..].concat(), vec![task])), 29);
}

#[test]
fn a_larger_tier_takes_over_what_a_smaller_one_made() {
    let folder = Folder::new("memo-tier");
    let mut spec = ir(&folder, &questions(100), vec![choices()]);
    spec["tier"] = json!({"name": "small", "cases": 60, "fraction": null});
    assert_eq!(same(&folder, &spec), 60);
    spec["tier"] = json!({"name": "full", "cases": null, "fraction": null});
    assert_eq!(same(&folder, &spec), 40);
    spec["tier"] = json!({"name": "small", "cases": 60, "fraction": null});
    assert_eq!(same(&folder, &spec), 0);
}

#[test]
fn a_damaged_memo_is_no_memo() {
    let folder = Folder::new("memo-damage");
    let spec = ir(&folder, &questions(30), vec![choices()]);
    assert_eq!(same(&folder, &spec), 30);
    let files = || std::fs::read_dir(folder.0.join("memo")).expect("a folder");
    for kind in ["cases", "rows", "tokens"] {
        for damage in ["flip", "cut", "gone"] {
            for entry in files() {
                let path = entry.expect("an entry").path();
                if path.extension().is_none_or(|e| e != kind) {
                    continue;
                }
                let mut bytes = std::fs::read(&path).expect("readable");
                match damage {
                    "flip" => {
                        let middle = bytes.len() / 2;
                        bytes[middle] ^= 1;
                    }
                    _ => bytes.truncate(bytes.len() / 2),
                }
                if damage == "gone" {
                    std::fs::remove_file(&path).expect("removable");
                } else {
                    std::fs::write(&path, bytes).expect("writable");
                }
            }
            same(&folder, &spec);
        }
    }
}
