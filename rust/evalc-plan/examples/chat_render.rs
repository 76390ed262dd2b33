//! Renders templates read as JSON lines from stdin, for comparisons with Python.
//!
//! A line is `{"template", "row"}` or `{"chat", "tokens", "date", "messages", "prompt"}`; the answer
//! is `{"ok": text}` or `{"error": text}`.

use std::collections::BTreeMap;
use std::io::BufRead;

use evalc_plan::chat::render_chat;
use evalc_plan::template::render_row;
use serde_json::{json, Value};

fn main() {
    for line in std::io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let result = match line.get("template") {
            Some(source) => render_row(source.as_str().unwrap_or_default(), &line["row"].to_string()),
            None => chat(&line),
        };
        let answer = match result {
            Ok(text) => json!({"ok": text}),
            Err(fault) => json!({"error": fault.message, "span": fault.span}),
        };
        println!("{answer}");
    }
}

fn chat(line: &Value) -> Result<String, evalc_plan::template::TemplateFault> {
    let tokens: BTreeMap<String, String> =
        serde_json::from_value(line["tokens"].clone()).expect("special tokens");
    let messages: Vec<(String, String)> =
        serde_json::from_value(line["messages"].clone()).expect("messages");
    let source = line["chat"].as_str().unwrap_or_default();
    let prompt = line["prompt"].as_bool().unwrap_or_default();
    render_chat(source, &tokens, line["date"].as_str(), &messages, prompt)
}
