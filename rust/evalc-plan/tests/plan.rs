//! The planner from Ir bytes to packs, on real files and a real byte-level tokenizer.

mod fixture;

use evalc_plan::fault::Fault;
use evalc_plan::plan::Plan;
use fixture::{bundle, choices, ir, keys, packs, question, questions, task, Folder};
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::path::Path;

fn build(ir: &Value) -> Plan {
    Plan::build(ir.to_string().as_bytes(), None).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn faults(ir: &Value) -> Vec<Fault> {
    Plan::build(ir.to_string().as_bytes(), None).err().expect("a fault")
}

/// Whole token ids of every request of every pack, with the unique request behind it.
fn inputs(plan: &mut Plan, budget: u64) -> Vec<(u32, Vec<u32>, u32)> {
    let mut found = Vec::new();
    for pack in packs(plan, budget, 1000) {
        for (i, node) in pack.req_node.iter().enumerate() {
            let (mut at, mut runs) = (*node as i32, Vec::new());
            while at >= 0 {
                let n = at as usize;
                let (from, to) = (pack.node_offsets[n] as usize, pack.node_offsets[n + 1] as usize);
                assert!(from < to, "no node is empty");
                assert!(pack.node_parent[n] < at, "parents come first");
                runs.push(&pack.tokens[from..to]);
                at = pack.node_parent[n];
            }
            let ids: Vec<u32> = runs.into_iter().rev().flatten().copied().collect();
            found.push((pack.req_key[i], ids, pack.req_cont[i]));
        }
    }
    found
}

fn distinct(inputs: &[(u32, Vec<u32>, u32)]) -> usize {
    let mut nodes: BTreeSet<&[u32]> = BTreeSet::new();
    for (_, ids, cont) in inputs {
        let length = ids.len() - usize::from(*cont > 0);
        nodes.extend((1..=length).map(|end| &ids[..end]));
    }
    nodes.len()
}

#[test]
fn packs_hold_every_remaining_request_once_whatever_the_budget() {
    let folder = Folder::new("packs");
    let mut plan = build(&ir(&folder, &questions(40), vec![choices()]));
    let keys = plan.key_count();
    assert_eq!(keys, 120);
    for budget in [1, 50, 100_000] {
        let asked: BTreeSet<u32> = inputs(&mut plan, budget).iter().map(|(key, ..)| *key).collect();
        assert_eq!(asked.len(), keys);
        assert_eq!(inputs(&mut plan, budget).len(), keys);
    }
    let hits: Vec<u8> = (0..keys).map(|i| u8::from(i % 3 == 0)).collect();
    plan.subtract(&hits).expect("a byte a key");
    let left: BTreeSet<u32> = inputs(&mut plan, 50).iter().map(|(key, ..)| *key).collect();
    let expected: BTreeSet<u32> = (0..keys as u32).filter(|i| i % 3 != 0).collect();
    assert_eq!(left, expected);
    assert!(plan.subtract(&[0]).is_err());
}

#[test]
fn prefill_tokens_are_the_nodes_of_the_prefix_tree() {
    let folder = Folder::new("distinct");
    let mut plan = build(&ir(&folder, &questions(40), vec![choices()]));
    let total = plan.summary().expect("no fault").total;
    let inputs = inputs(&mut plan, 100_000);
    assert_eq!(total.prefill_tokens as usize, distinct(&inputs));
    let unshared: usize = inputs.iter().map(|(_, ids, _)| ids.len() - 1).sum();
    assert_eq!(total.prefill_tokens_unshared as usize, unshared);
    assert!(total.prefill_tokens < total.prefill_tokens_unshared / 3);
}

#[test]
fn composed_encodings_equal_whole_ones() {
    let folder = Folder::new("compose");
    let spec = ir(&folder, &questions(40), vec![choices()]);
    let plan = build(&spec);
    assert!(plan.expansion(0).requests.iter().all(|request| request.prefixed()));
    // three cases are too few for a shared prefix: their texts are encoded whole
    let mut few = spec.clone();
    few["datasets"][0]["rows"] = json!([0, 3]);
    let known: BTreeSet<Vec<u8>> = keys(&plan).chunks(32).map(<[u8]>::to_vec).collect();
    for key in keys(&build(&few)).chunks(32) {
        assert!(known.contains(key));
    }
}

#[test]
fn the_same_request_is_asked_once_within_and_across_tasks() {
    let folder = Folder::new("dedupe");
    let rows = questions(5) + &question(2);
    let mut other = choices();
    other["name"] = json!("u");
    other["target"] = json!("0");
    let mut plan = build(&ir(&folder, &rows, vec![choices(), other]));
    let summary = plan.summary().expect("no fault");
    assert_eq!(summary.total.requests, 36);
    assert_eq!(summary.total.to_run, 15);
    assert_eq!(summary.cells[0].counts.deduped, 3);
    assert_eq!(summary.cells[1].counts.deduped, 18);
    assert_eq!(plan.unique(0), plan.unique(1));
}

#[test]
fn white_space_at_the_end_of_a_context_belongs_to_the_continuation() {
    let folder = Folder::new("space");
    let mut glued = choices();
    glued["delimiter"] = json!("");
    glued["prompt"] = json!("{{ q }} ");
    let keys = |task| keys(&build(&ir(&folder, &questions(9), vec![task])));
    assert_eq!(keys(glued), keys(choices()));
}

#[test]
fn an_empty_context_is_the_beginning_of_sequence() {
    let folder = Folder::new("empty");
    let mut bare = choices();
    bare["prompt"] = json!("");
    bare["delimiter"] = json!("");
    let mut plan = build(&ir(&folder, &questions(1), vec![bare]));
    let asked = inputs(&mut plan, 1000);
    assert!(asked.iter().all(|(_, ids, cont)| ids[0] == 7 && ids.len() == 1 + *cont as usize));
}

#[test]
fn every_token_of_a_text_is_scored_once() {
    let folder = Folder::new("windows");
    let text = "the answer is 12 and so on ".repeat(30);
    let mut spec = ir(&folder, &(json!({"q": text}).to_string() + "\n"), vec![task("perplexity")]);
    spec["models"][0]["max_length"] = json!(64);
    let mut plan = build(&spec);
    let windows = plan.expansion(0);
    let scored: u32 = (0..windows.requests.len()).map(|r| windows.lengths(r).1).sum();
    let whole = {
        spec["models"][0]["max_length"] = json!(100_000);
        let plan = build(&spec);
        plan.expansion(0).lengths(0).1
    };
    assert_eq!(scored, whole);
    let bytes = windows.text_bytes[0] as usize;
    for (_, ids, cont) in inputs(&mut plan, 1000) {
        assert!(ids.len() <= 65 && cont as usize <= 64);
    }
    assert_eq!(bytes, text.len());
}

#[test]
fn a_long_case_is_refused_or_cut_at_the_left_as_the_task_says() {
    let folder = Folder::new("overflow");
    let mut spec = ir(&folder, &questions(12), vec![choices()]);
    spec["models"][0]["max_length"] = json!(20);
    let found = faults(&spec);
    assert_eq!(found[0].code, "context-too-long");
    assert_eq!(found[0].line, Some(1));
    spec["tasks"][0]["overflow"] = json!("truncate");
    let mut plan = build(&spec);
    assert_eq!(plan.summary().expect("no fault").total.truncated, 12);
    assert!(inputs(&mut plan, 1000).iter().all(|(_, ids, _)| ids.len() <= 21));
}

#[test]
fn sampled_repeats_are_requests_of_their_own_and_greedy_ones_are_one() {
    let folder = Folder::new("repeats");
    let generate = |temperature: f64, seed: u64| {
        let mut task = task("generate");
        task["target"] = json!("{{ a }}");
        task["generate"] = json!({
            "max_new_tokens": 8, "stop": ["\n"], "temperature": temperature, "top_p": 1.0,
            "top_k": 0, "repeats": 4, "seed": seed,
        });
        task
    };
    let plan = |t| build(&ir(&folder, &questions(3), vec![t]));
    assert_eq!(plan(generate(0.0, 0)).summary().expect("no fault").total.to_run, 3);
    assert_eq!(plan(generate(0.7, 0)).summary().expect("no fault").total.to_run, 12);
    assert_eq!(keys(&plan(generate(0.0, 0))), keys(&plan(generate(0.0, 5))));
    assert_ne!(keys(&plan(generate(0.7, 0))), keys(&plan(generate(0.7, 5))));
    let mut sampled = plan(generate(0.7, 0));
    assert_eq!(sampled.settings().len(), 4);
    assert_eq!(*sampled.settings()[0].eos_ids, [8, 9]);
    assert_eq!(sampled.summary().expect("no fault").total.decode_tokens_bound, 96);
    let packs = packs(&mut sampled, 10_000, 100);
    assert_eq!(packs.len(), 4, "settings never share a pack");
}

#[test]
fn shots_come_before_the_prompt_and_a_case_is_never_its_own() {
    let folder = Folder::new("shots");
    let shot = |select: &str| {
        let mut task = choices();
        task["fewshot"] = json!({"dataset": 0, "k": 2, "select": select, "seed": 1,
                                 "template": "[{{ q }}]", "separator": "\n"});
        build(&ir(&folder, &questions(12), vec![task]))
    };
    for select in ["first", "random", "per_case"] {
        let plan = shot(select);
        for case in 0..12 {
            let text: Value =
                serde_json::from_str(&plan.case(0, case).expect("a case")).expect("JSON");
            let prompt = text["prompt"].as_str().expect("a prompt");
            let own = format!("[{}]", text["row"]["q"].as_str().expect("a question"));
            assert_eq!(prompt.matches('[').count(), 2, "{select}");
            assert!(!prompt.contains(&own), "{select}");
        }
    }
}

#[test]
fn a_chat_template_writes_the_prompt_and_its_own_special_tokens() {
    let folder = Folder::new("chat");
    let template = "<{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}>";
    let mut spec = ir(&folder, &questions(2), vec![choices()]);
    spec["models"][0]["bundle"] = json!(bundle(&folder, &[3], Some(template)));
    spec["models"][0]["chat"] = json!(true);
    spec["models"][0]["system"] = json!("be brief");
    let mut plan = build(&spec);
    let case: Value = serde_json::from_str(&plan.case(0, 0).expect("a case")).expect("JSON");
    let prompt = case["prompt"].as_str().expect("a prompt");
    assert!(prompt.starts_with("<system=be brief;user=the other"), "{prompt}");
    assert!(inputs(&mut plan, 1000).iter().all(|(_, ids, _)| ids[0] != 3));
    spec["models"][0]["bundle"] = json!(bundle(&folder, &[3], None));
    assert_eq!(faults(&spec)[0].code, "no-chat-template");
    spec["models"][0]["chat"] = json!(false);
    assert!(inputs(&mut build(&spec), 1000).iter().all(|(_, ids, _)| ids[0] == 3));
}

#[test]
fn a_tier_is_a_sample_that_a_larger_tier_contains() {
    let folder = Folder::new("tier");
    let ids = |cases: Value, fraction: Value| -> BTreeSet<String> {
        let mut spec = ir(&folder, &questions(100), vec![choices()]);
        spec["tier"] = json!({"name": "x", "cases": cases, "fraction": fraction});
        build(&spec).expansion(0).ids.iter().map(str::to_owned).collect()
    };
    let (small, large) = (ids(json!(10), json!(null)), ids(json!(null), json!(0.4)));
    assert_eq!((small.len(), large.len()), (10, 40));
    assert!(small.is_subset(&large));
}

#[test]
fn every_fault_of_a_plan_is_reported_with_its_place() {
    let folder = Folder::new("faults");
    let mut broken = choices();
    broken["prompt"] = json!("{{ qq }}");
    broken["choices"] = json!({"list": ["{{ c[0] }}", "{{ cc }}"]});
    let mut other = task("perplexity");
    other["name"] = json!("u");
    other["prompt"] = json!("{{ q");
    let found = faults(&ir(&folder, &questions(3), vec![broken, other]));
    let codes: Vec<&str> = found.iter().map(|f| f.code).collect();
    assert_eq!(codes, ["undefined-variable", "undefined-variable", "template-syntax"]);
    assert_eq!(found[0].suggestion.as_deref(), Some("q"));
    assert_eq!(found[0].span, Some((3, 5)));
}

#[test]
fn faults_of_rows_name_their_line() {
    let folder = Folder::new("rows");
    let bad = |rows: &str| faults(&ir(&folder, rows, vec![choices()])).remove(0);
    let good = question(0);
    for (rows, code, line) in [
        (format!("{good}{{\"q\": \n"), "data-malformed", 2),
        (format!("{good}[1]\n"), "data-malformed", 2),
        (format!("{good}\n{{\"c\": [\"A\"], \"a\": 0}}\n"), "missing-column", 3),
        (format!("{good}{{\"q\": \"x\", \"c\": \"A\", \"a\": 0}}\n"), "bad-choices", 2),
        (format!("{good}{{\"q\": \"x\", \"c\": [], \"a\": 0}}\n"), "bad-choices", 2),
        (format!("{good}{{\"q\": \"x\", \"c\": [\"A\"], \"a\": 4}}\n"), "bad-target", 2),
    ] {
        let fault = bad(&rows);
        assert_eq!((fault.code, fault.line), (code, Some(line)), "{}", fault.message);
    }
    assert_eq!(bad("\n\n").code, "data-empty");
}

#[test]
fn checking_needs_no_model_and_finds_the_same_faults_in_rows() {
    let folder = Folder::new("check");
    let mut spec = ir(&folder, &(questions(3) + "{}\n"), vec![choices()]);
    spec["models"] = json!([]);
    spec["cells"] = json!([]);
    let found = Plan::check(spec.to_string().as_bytes()).expect_err("a fault");
    assert_eq!((found[0].code, found[0].line), ("missing-column", Some(4)));
    assert_eq!(Plan::check(b"{}").expect_err("a fault")[0].code, "bad-ir");
}

#[test]
fn a_bundle_that_is_not_reproduced_is_refused() {
    let folder = Folder::new("bundle");
    let mut spec = ir(&folder, &questions(3), vec![choices()]);
    let path = spec["models"][0]["bundle"].as_str().expect("a path").to_owned();
    let mut content: Value =
        serde_json::from_str(&std::fs::read_to_string(Path::new(&path)).expect("a file"))
            .expect("JSON");
    content["probes"][0]["ids"] = json!([1, 2, 3]);
    spec["models"][0]["bundle"] = json!(folder.write("other.json", content.to_string()));
    assert_eq!(faults(&spec)[0].code, "tokenizer-mismatch");
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let folder = Folder::new("threads");
    let spec = ir(&folder, &questions(700), vec![choices()]);
    let made = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let mut plan = build(&spec);
            let packs = packs(&mut plan, 2000, 64);
            let trees: Vec<_> =
                packs.iter().map(|p| (p.tokens.clone(), p.req_key.clone())).collect();
            (
                keys(&plan),
                serde_json::to_string(&plan.summary().expect("no fault")).expect("JSON"),
                trees,
            )
        })
    };
    assert!(made(1) == made(3));
}
