//! Prompt templates, chat templates and Python's text forms, through the crate's public face.

use std::collections::BTreeMap;

use evalc_plan::chat::{render_chat, ChatTemplate, Date, Message};
use evalc_plan::pyjson::{dumps, float_repr, python_repr, python_str, quoted, JsonStyle};
use evalc_plan::template::{fault, render_row, Template, TemplateFault, OUTPUT_LIMIT};
use minijinja::value::ValueKind;
use minijinja::Value;
use rayon::prelude::*;
use serde_json::json;

fn value(json: serde_json::Value) -> Value {
    serde_json::from_value(json).expect("a value")
}

fn render(source: &str, row: serde_json::Value) -> Result<String, TemplateFault> {
    render_row(source, &row.to_string())
}

fn rendered(source: &str, row: serde_json::Value) -> String {
    render(source, row).expect("a text")
}

fn refused(source: &str, row: serde_json::Value) -> TemplateFault {
    render(source, row).expect_err("a fault")
}

fn names(source: &str) -> Vec<String> {
    let template = Template::compile(source).expect("a template");
    template.variables().iter().map(|variable| variable.name.clone()).collect()
}

fn place(source: &str, fault: &TemplateFault) -> String {
    let (start, end) = fault.span.expect("a span");
    source[start..end].to_string()
}

#[test]
fn a_missing_name_is_named_and_placed() {
    let source = "Question: {{ question }}\nAnswer: {{ answr }}";
    let fault = refused(source, json!({"question": "q", "answer": "a"}));
    assert_eq!(fault.missing.as_deref(), Some("answr"));
    assert_eq!(fault.message, "`answr` is undefined");
    assert_eq!(place(source, &fault), "answr");
    assert_eq!(fault.line, Some(2));
}

#[test]
fn a_missing_attribute_is_named_with_its_parent() {
    let source = "é {{ doc.answers | upper }}";
    let fault = refused(source, json!({"doc": {}}));
    assert_eq!(fault.missing.as_deref(), Some("doc.answers"));
    assert!(place(source, &fault).contains("upper"));
}

#[test]
fn a_syntax_fault_has_a_place() {
    let source = "ok\n{% if a %}{{ b ";
    let found = fault(source).expect("a fault");
    assert!(found.message.starts_with("template syntax: "), "{}", found.message);
    assert_eq!(found.line, Some(2));
    assert!(found.span.is_some());
    assert_eq!(fault("{{ a }}"), None);
}

#[test]
fn an_unknown_filter_or_test_is_found_without_rendering() {
    let source = "{% if yes %}{{ a | uper }}{% endif %}";
    let found = fault(source).expect("a fault");
    assert_eq!(found.message, "the filter `uper` is unknown");
    assert_eq!(place(source, &found), "uper");
    assert_eq!(fault("{{ a is not odd }}"), None);
    let found = fault("{{ a is not odder }}").expect("a fault");
    assert_eq!(found.message, "the test `odder` is unknown");
}

#[test]
fn a_template_cannot_load_another() {
    for source in ["{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}"] {
        let found = fault(source).expect("a fault");
        assert!(found.message.ends_with("cannot load another one"), "{}", found.message);
    }
}

#[test]
fn places_are_those_of_the_text_as_given() {
    let source = "é\r\nb\r\n{{ missing }}";
    let fault = refused(source, json!({}));
    assert_eq!(place(source, &fault), "missing");
    assert_eq!(fault.line, Some(3));
    let template = Template::compile(source).expect("a template");
    let (start, end) = template.variables()[0].span;
    assert_eq!(&source[start..end], "missing");
    assert_eq!(template.source(), source);
    assert_eq!(rendered(source, json!({"missing": 1})), "é\nb\n1");
}

#[test]
fn variables_are_the_names_a_row_has_to_have() {
    assert_eq!(names("{{ b }}{{ a.c }}{{ b | join(sep) }}"), ["b", "a", "sep"]);
    assert_eq!(names("{% for x in xs %}{{ x }}{{ loop.index }}{% endfor %}"), ["xs"]);
    assert_eq!(names("{% set a = b %}{{ a }}{{ range(3) }}{{ namespace(x=1) }}"), ["b"]);
    assert_eq!(
        names("{{ f(x=y) }} {{ 'quoted' }} {# c #} {% raw %}{{ d }}{% endraw %}"),
        ["f", "y"]
    );
    assert_eq!(names("{{ {'a': b}.a }} {{ true and none }}"), ["b"]);
}

#[test]
fn a_name_set_in_a_branch_is_not_asked_of_the_row() {
    let source = "{% if a %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}";
    assert_eq!(names(source), ["a"]);
}

#[test]
fn a_guarded_name_may_be_missing() {
    let source = "{% if hint is defined %}{{ hint }}{% endif %}{{ tone | default('x') }}{{ q }}";
    let template = Template::compile(source).expect("a template");
    let guarded: Vec<(&str, bool)> =
        template.variables().iter().map(|v| (v.name.as_str(), v.guarded)).collect();
    assert_eq!(guarded, [("hint", true), ("tone", true), ("q", false)]);
}

#[test]
fn a_lone_expression_keeps_its_type() {
    let row = value(json!({"xs": ["a", "b"], "n": 2, "f": 1.0, "none": null, "t": "2"}));
    let eval =
        |source: &str| Template::compile(source).expect("a template").eval(&row).expect("a value");
    assert_eq!(eval("{{ xs }}").kind(), ValueKind::Seq);
    assert_eq!(eval(" {{ n + 1 }}\n").as_i64(), Some(3));
    assert_eq!(eval("{{ t }}").as_str(), Some("2"));
    assert_eq!(eval("{{ {'a': '}}'}.a }}").as_str(), Some("}}"));
    assert_eq!(eval("{{ xs | map('upper') }}").kind(), ValueKind::Seq);
    assert_eq!(eval("{{ [1] + [2] }}").len(), Some(2));
    assert_eq!(eval("{{ n == 2 }}").kind(), ValueKind::Bool);
    assert!(eval("{{ row.none if row is defined else none }}").is_none());
    assert_eq!(eval("{{ n }}{{ n }}").as_str(), Some("22"));
    assert_eq!(eval("n: {{ n }}").as_str(), Some("n: 2"));
}

#[test]
fn a_lone_expression_reports_places_in_the_template() {
    let source = "\n  {{ xs[0].nope }}";
    let template = Template::compile(source).expect("a template");
    let fault = template.eval(&value(json!({"xs": [{}]}))).expect_err("a fault");
    assert_eq!(fault.missing.as_deref(), Some("xs[0].nope"));
    assert_eq!(fault.line, Some(2));
    let source = "  {{ xs + 1 }}";
    let template = Template::compile(source).expect("a template");
    let fault = template.eval(&value(json!({"xs": "a"}))).expect_err("a fault");
    assert_eq!(place(source, &fault), "xs + 1");
}

#[test]
fn a_template_without_names_is_constant() {
    let constant = |source: &str| Template::compile(source).expect("a template").is_constant();
    assert!(constant("plain"));
    assert!(constant("{# c #}{{ 'a' * 3 }}{% for i in [1, 2] %}{{ i }}{% endfor %}"));
    assert!(!constant("{{ a }}"));
    assert_eq!(rendered("", json!({})), "");
}

#[test]
fn a_column_hides_a_function_of_the_same_name() {
    assert_eq!(rendered("{{ range }}", json!({"range": "1-5"})), "1-5");
    assert_eq!(rendered("{{ dict }}{{ x }}", json!({"dict": [1], "x": null})), "[1]None");
}

#[test]
fn a_template_cannot_run_forever_nor_fill_the_memory() {
    let row = json!({"xs": (0..1000).collect::<Vec<u32>>(), "s": "x".repeat(1000)});
    let loops = "{% for a in xs %}{% for b in xs %}{% for c in xs %}{{ c }}{% endfor %}\
                 {% endfor %}{% endfor %}";
    assert_eq!(refused(loops, row.clone()).message, "the template does too much work");
    for source in [
        "{{ s * 1000000000 }}",
        "{{ s.replace('x', s).replace('x', s).replace('x', s) }}",
        "{{ s.ljust(100000000000) }}{{ s.zfill(100000000000) }}",
        "{{ s.join(xs | map('string') | list).join(s) | length }}{{ s.center(99999999999) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ] {
        refused(source, row.clone());
    }
    let long = refused("{{ s * 20000 }}", row);
    assert_eq!(long.message, format!("the text is longer than `{}` MiB", OUTPUT_LIMIT >> 20));
}

#[test]
fn a_template_sees_no_clock_and_no_engine() {
    for source in ["{{ now() }}", "{{ debug() }}", "{{ lipsum() }}", "{{ strftime_now('%d') }}"] {
        assert!(refused(source, json!({})).missing.is_some(), "{source}");
    }
}

#[test]
fn many_threads_render_one_template() {
    let template = Template::compile("{% for x in xs %}{{ x }},{% endfor %}{{ n }}").expect("ok");
    let same = (0..2000u32).into_par_iter().all(|n| {
        let row = value(json!({"xs": [n, n + 1], "n": n}));
        template.render(&row).expect("a text") == format!("{n},{},{n}", n + 1)
    });
    assert!(same);
}

#[test]
fn a_method_that_would_change_a_value_is_refused() {
    let fault = refused("{{ xs.append(1) }}", json!({"xs": []}));
    assert_eq!(fault.message, "`append` would change a value; values of a template are fixed");
}

#[test]
fn floats_print_as_in_python() {
    for (number, text) in [
        (0.1, "0.1"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (1e-4, "0.0001"),
        (1e-5, "1e-05"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1.5e300, "1.5e+300"),
        (5e-324, "5e-324"),
        // in the middle of two texts of the same length: the last digit is even
        (2.0_f64.powi(-25), "2.9802322387695312e-08"),
        (-1_871_134_174_267_437.0 / 8.0, "-233891771783429.62"),
        (8_610_192_060_993_577.0 / 4.0, "2152548015248394.2"),
        (0.012_5, "0.0125"),
        (f64::NAN, "nan"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        assert_eq!(float_repr(number), text);
    }
}

#[test]
fn texts_are_quoted_as_in_python() {
    assert_eq!(quoted("it's"), "\"it's\"");
    assert_eq!(quoted("it's \"so\""), "'it\\'s \"so\"'");
    assert_eq!(
        quoted("a\\\n\t\u{7f}\u{a0}é\u{200b}\u{e0001}"),
        r"'a\\\n\t\x7f\xa0é\u200b\U000e0001'"
    );
}

#[test]
fn containers_print_as_in_python() {
    let nested = value(json!({"a": [1, 2.0, null, true, "x"], "b": {}}));
    assert_eq!(python_repr(&nested), "{'a': [1, 2.0, None, True, 'x'], 'b': {}}");
    assert_eq!(python_str(&Value::from("x")), "x");
    assert_eq!(python_str(&Value::UNDEFINED), "");
    assert_eq!(
        rendered("{{ (1,) }} {{ d.items() }}", json!({"d": {"k": 1}})),
        "(1,) dict_items([('k', 1)])"
    );
}

#[test]
fn json_is_that_of_json_dumps() {
    let nested = value(json!({"b": ["é\u{1f600}\u{1}\"", 1e-7], "a": {}}));
    let plain = dumps(&nested, &JsonStyle::default()).expect("json");
    assert_eq!(plain, r#"{"b": ["\u00e9\ud83d\ude00\u0001\"", 1e-07], "a": {}}"#);
    let style = JsonStyle {
        indent: Some("  ".to_string()),
        ensure_ascii: false,
        sort_keys: true,
        separators: None,
    };
    let pretty = dumps(&value(json!({"b": [1, []], "a": "é"})), &style).expect("json");
    assert_eq!(pretty, "{\n  \"a\": \"é\",\n  \"b\": [\n    1,\n    []\n  ]\n}");
    assert!(dumps(&Value::UNDEFINED, &JsonStyle::default()).is_err());
}

#[test]
fn a_chat_template_is_lenient_about_undefined_names() {
    let turns = [("user".to_string(), "hi".to_string())];
    let chat = |source: &str| render_chat(source, &BTreeMap::new(), None, &turns, true);
    assert_eq!(chat("[{{ nope }}]{% if nope %}x{% endif %}").as_deref(), Ok("[]"));
    assert_eq!(chat("{{ tools is none }} {{ add_generation_prompt }}").as_deref(), Ok("True True"));
    let fault = chat("{{ messages[0].tool_calls.name }}").expect_err("a fault");
    assert_eq!(fault.missing.as_deref(), Some("messages[0].tool_calls"));
}

#[test]
fn a_chat_template_knows_the_special_tokens() {
    let tokens = BTreeMap::from([("bos_token".to_string(), "<s>".to_string())]);
    let source = "{{ bos_token }}{% for m in messages %}\n    {{ m.role }}: {{ m['content'] }}\n\
                  {% endfor %}\n";
    let template = ChatTemplate::compile(source, &tokens, None).expect("a template");
    let turns = [Message { role: "user".into(), content: "<b>é".into() }];
    assert_eq!(template.render(&turns, false).as_deref(), Ok("<s>    user: <b>é\n"));
}

#[test]
fn a_refused_conversation_is_placed() {
    let source = "{% if true %}\n{{ raise_exception('no system role') }}{% endif %}";
    let fault = render_chat(source, &BTreeMap::new(), None, &[], false).expect_err("a fault");
    assert_eq!(fault.message, "the chat template refuses the conversation: no system role");
    assert_eq!(fault.line, Some(2));
}

#[test]
fn dates_are_checked() {
    assert!(Date::parse("2024-02-29").is_ok());
    for text in ["2023-02-29", "2024-13-01", "2024-1-1", "24-01-01", "2024-01-00", "today", ""] {
        assert!(Date::parse(text).is_err(), "{text}");
    }
    let date = Date::parse("2024-07-26").expect("a date");
    assert_eq!(
        date.format("%d %b %Y, %A, day %j, %-m").as_deref(),
        Ok("26 Jul 2024, Friday, day 208, 7")
    );
    assert!(date.format("%Q").is_err());
}
