//! Renders per second of typical prompt templates, on one thread and on all.
//!
//! `cargo run --release -p evalc-plan --example template_rates`

use std::time::Instant;

use evalc_plan::template::Template;
use minijinja::Value;
use rayon::prelude::*;
use serde_json::json;

const RENDERS: usize = 400_000;

const TEMPLATES: [(&str, &str); 5] = [
    ("constant", "Answer the following question."),
    ("hellaswag", "{{ query }}"),
    (
        "mmlu",
        "{{ question.strip() }}\nA. {{ choices[0] }}\nB. {{ choices[1] }}\nC. {{ choices[2] }}\n\
         D. {{ choices[3] }}\nAnswer:",
    ),
    ("gsm8k", "Question: {{ question }}\nAnswer:"),
    ("loop", "{% for choice in choices %}{{ 'ABCD'[loop.index0] }}. {{ choice }}\n{% endfor %}"),
];

fn main() {
    let row: Value = serde_json::from_value(json!({
        "query": "A man is sitting on a roof. He starts pulling up roofing on a roof. ".repeat(3),
        "question": "Which of the following is the body cavity that contains the pituitary gland? ",
        "choices": ["Abdominal", "Cranial", "Pleural", "Spinal"],
        "label": 2,
    }))
    .expect("a row");
    for (name, source) in TEMPLATES {
        let template = Template::compile(source).expect("a valid template");
        let one = rate(|| (0..RENDERS).map(|_| length(&template, &row)).sum());
        let all = rate(|| (0..RENDERS).into_par_iter().map(|_| length(&template, &row)).sum());
        println!("{name:10} {one:>12.0} renders/s on one thread {all:>12.0} on all");
    }
    let template = Template::compile("{{ choices }}").expect("a valid template");
    let native = rate(|| {
        (0..RENDERS)
            .map(|_| template.eval(&row).ok().and_then(|list| list.len()).unwrap_or(0))
            .sum()
    });
    println!("{:10} {native:>12.0} evaluations/s on one thread", "choices");
}

fn length(template: &Template, row: &Value) -> usize {
    template.render(row).expect("a text").len()
}

fn rate(work: impl Fn() -> usize) -> f64 {
    let start = Instant::now();
    std::hint::black_box(work());
    RENDERS as f64 / start.elapsed().as_secs_f64()
}
