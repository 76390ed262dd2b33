//! The memo saves work and changes nothing.

mod fixture;

use evalc_plan::expansion::Expansion;
use evalc_plan::ir::{Model, Task};
use evalc_plan::memo::Memo;
use evalc_plan::plan::Plan;
use fixture::{choices, ir, keys, packs, question, questions, Folder};
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
    assert!(keys(&with) == keys(&without));
    let none = vec![0; with.key_count()];
    with.subtract(&none).expect("a byte a key");
    without.subtract(&none).expect("a byte a key");
    let words =
        |plan: &mut Plan| serde_json::to_string(&plan.summary().expect("no fault")).expect("JSON");
    assert_eq!(words(&mut with), words(&mut without));
    assert_eq!(with.expansion(0).ids, without.expansion(0).ids);
    assert_eq!(with.expansion(0).targets, without.expansion(0).targets);
    for (a, b) in packs(&mut with, 300, 64).iter().zip(packs(&mut without, 300, 64)) {
        assert_eq!(
            (&a.tokens, &a.req_key, &a.node_parent),
            (&b.tokens, &b.req_key, &b.node_parent)
        );
    }
    for cell in 0..with.cells() {
        assert_eq!(with.unique(cell), without.unique(cell));
        assert_eq!(with.expansion(cell).order, without.expansion(cell).order);
        assert_eq!(with.expansion(cell).shared, without.expansion(cell).shared);
        assert_eq!(sorted(with.expansion(cell)), with.expansion(cell).order);
    }
    with.fresh()
}

/// The order that sorting whole token ids gives.
fn sorted(expansion: &Expansion) -> Vec<u32> {
    let ids = |request: &u32| -> Vec<u32> {
        expansion.tokens(*request as usize).iter().flat_map(|run| run.to_vec()).collect()
    };
    let mut order: Vec<u32> = (0..expansion.requests.len() as u32).collect();
    order.sort_by_key(ids);
    order
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
fn any_edits_in_any_order_leave_what_a_plan_without_a_memo_says() {
    let folder = Folder::new("memo-edits");
    let mut state = 7_u64;
    let mut draw = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    // rows of one text come up twice, and some questions begin others
    let row = |n: usize| match n % 5 {
        0 => json!({"q": "one", "c": ["one", "one two", "two"], "a": 0}).to_string() + "\n",
        1 => {
            json!({"q": format!("one {}", n % 40), "c": ["A", "B", "C"], "a": 1}).to_string() + "\n"
        }
        _ => question(n),
    };
    let mut rows: Vec<String> = (0..80).map(row).collect();
    let mut tasks = vec![choices(), choices()];
    tasks[1]["name"] = json!("other");
    tasks[1]["prompt"] = json!("{{ q }} again");
    let mut reused = 0;
    for step in 0..120 {
        for _ in 0..draw(4) {
            let at = draw(rows.len());
            match draw(5) {
                0 => rows[at] = row(draw(3000)),
                1 => rows.insert(at, row(draw(3000))),
                2 if rows.len() > 40 => drop(rows.remove(at)),
                3 => rows.swap(at, 0),
                _ => rows.insert(0, rows[at].clone()),
            }
        }
        let made = same(&folder, &ir(&folder, &rows.concat(), tasks.clone()));
        assert!(step == 0 || made < rows.len(), "nothing was reused");
        reused += 2 * rows.len() - made;
    }
    assert!(reused > 100 * rows.len());
    let files = std::fs::read_dir(folder.0.join("memo")).expect("a folder");
    let later =
        files.filter(|f| f.as_ref().is_ok_and(|f| f.path().extension() == Some("later".as_ref())));
    assert_eq!(later.count(), 2);
}

#[test]
fn a_damaged_memo_is_no_memo() {
    let folder = Folder::new("memo-damage");
    let spec = ir(&folder, &questions(30), vec![choices()]);
    assert_eq!(same(&folder, &spec), 30);
    let spec = ir(&folder, &(questions(30) + &question(77)), vec![choices()]);
    assert_eq!(same(&folder, &spec), 1);
    let files = || std::fs::read_dir(folder.0.join("memo")).expect("a folder");
    for kind in ["cases", "rows", "tokens", "later"] {
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

/// Pointers to everything in a JSON value that is no list or table.
fn leaves(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, inner)| leaves(inner, &format!("{at}/{name}"), out));
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, inner)| leaves(inner, &format!("{at}/{index}"), out)),
        _ => out.push(at.to_owned()),
    }
}

/// Another value of the same kind, one of the allowed where there are few.
fn other(value: &Value) -> Value {
    match value.as_str() {
        Some("generate") => json!("perplexity"),
        Some("error") => json!("truncate"),
        Some("random") => json!("first"),
        Some(text) => json!(format!("{text}x")),
        None if value.is_f64() => json!(value.as_f64().map(|number| number + 0.25)),
        None => json!(value.as_u64().map_or(1, |number| number + 1)),
    }
}

#[test]
fn each_thing_that_cases_rest_on_is_in_their_name() {
    let task = json!({
        "name": "t", "dataset": 0, "kind": "generate", "description": "d", "prompt": "{{ q }}",
        "delimiter": " ", "choices": {"list": ["a", "b"]}, "target": "{{ a }}",
        "fewshot": {"dataset": 0, "k": 2, "select": "random", "seed": 1, "template": "{{ q }}",
                    "separator": "\n"},
        "generate": {"max_new_tokens": 4, "stop": ["\n"], "temperature": 0.5, "top_p": 0.5,
                     "top_k": 3, "repeats": 2, "seed": 7},
        "overflow": "error", "cluster": "{{ c }}", "slices": ["{{ s }}"], "program": "p",
        "shown": "metrics",
    });
    let model = json!({
        "name": "m", "model_id": "aa", "engine_id": "bb", "bundle": "b", "max_length": 512,
        "chat": true, "system": "s", "vocabulary": 9, "date": "2026-01-01",
    });
    let name = |task: &Value, model: &Value, tokenizer: &str, rows: &[String]| {
        let task: Task = serde_json::from_value(task.clone()).expect("a task");
        let model: Model = serde_json::from_value(model.clone()).expect("a model");
        Memo::cases_name(&task, &model, tokenizer, rows)
    };
    let usual = name(&task, &model, "k", &[]);
    assert_ne!(usual, name(&task, &model, "l", &[]));
    assert_ne!(usual, name(&task, &model, "k", &[String::new()]));
    // rows are beside the name of a dataset, whose place in the Ir says nothing; programs and
    // functions are of the score
    let aside = ["/name", "/dataset", "/fewshot/dataset", "/program", "/shown"];
    // what a model computes is in the keys of its requests, not in its cases
    let own = ["/max_length", "/chat", "/system", "/date"];
    for (value, named) in [(&task, None), (&model, Some(own))] {
        let mut found = Vec::new();
        leaves(value, "", &mut found);
        for pointer in found {
            let mut edited = value.clone();
            let place = edited.pointer_mut(&pointer).expect("a leaf");
            *place = if place.is_boolean() { json!(false) } else { other(place) };
            let (changed, counts) = match named {
                None => (name(&edited, &model, "k", &[]), !aside.contains(&pointer.as_str())),
                Some(own) => (name(&task, &edited, "k", &[]), own.contains(&pointer.as_str())),
            };
            assert_eq!(usual != changed, counts, "{pointer}");
        }
    }
    // a system message and a date act through the chat template alone
    let plain = json!({"chat": false, "name": "m", "model_id": "aa", "engine_id": "bb",
                       "bundle": "b", "max_length": 512, "system": null, "date": null});
    let mut spoken = plain.clone();
    spoken["system"] = json!("s");
    assert_eq!(name(&task, &plain, "k", &[]), name(&task, &spoken, "k", &[]));
}
