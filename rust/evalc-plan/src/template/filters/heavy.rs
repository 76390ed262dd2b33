//! Filters and tests of the engine whose work grows with more than what the engine pays for.

use minijinja::value::{Kwargs, Rest, StringInput, ValueOrKwargs};
use minijinja::{filters, tests, Environment, Error, State, Value};

use crate::template::arguments::pay;
use crate::template::weight::{weigh, weigh_nested, weigh_sorting};

/// Bytes of a list's place, and of the short text in it.
const PLACE: usize = 32;

/// The same filters and tests, weighed first.
pub(super) fn register(environment: &mut Environment<'static>) {
    cases(environment);
    orders(environment);
    lists(environment);
    comparisons(environment);
}

fn cases(environment: &mut Environment<'static>) {
    type Case = fn(StringInput<'_>) -> Value;
    let cases: [(&'static str, Case); 3] = [
        ("upper", |text| filters::upper(text)),
        ("lower", |text| filters::lower(text)),
        ("capitalize", |text| filters::capitalize(text)),
    ];
    for (name, filter) in cases {
        environment.add_filter(name, move |state: &State, value: &Value| {
            weigh_nested(state, value)?;
            Ok::<_, Error>(filter(StringInput::new(state, value)?))
        });
    }
    environment.add_filter("title", |state: &State, value: &Value| {
        weigh_nested(state, value)?;
        let text = StringInput::new(state, value)?;
        Ok::<_, Error>(filters::title(text.as_str().into()))
    });
    environment.add_filter(
        "format",
        |state: &mut State, value: &Value, args: Rest<ValueOrKwargs>| {
            let args = args.into_values();
            let fields = value.as_str().map_or(0, |text| text.matches('%').count());
            pay_fields(state, fields, &args)?;
            filters::format(state, value, Rest(args.into_iter().map(ValueOrKwargs::from).collect()))
        },
    );
}

fn orders(environment: &mut Environment<'static>) {
    type Order = fn(&State, Value, Kwargs) -> Result<Value, Error>;
    let orders: [(&'static str, Order); 4] = [
        ("sort", filters::sort),
        ("unique", filters::unique),
        ("min", filters::min),
        ("max", filters::max),
    ];
    for (name, filter) in orders {
        environment.add_filter(name, move |state: &State, value: Value, kwargs: Kwargs| {
            weigh_sorting(state, &value)?;
            filter(state, value, kwargs)
        });
    }
    environment.add_filter("dictsort", |state: &State, value: &Value, kwargs: Kwargs| {
        weigh_sorting(state, value)?;
        filters::dictsort(value, kwargs)
    });
    environment.add_filter(
        "groupby",
        |state: &State, value: Value, attribute: Option<&str>, kwargs: Kwargs| {
            weigh_sorting(state, &value)?;
            filters::groupby(value, attribute, kwargs)
        },
    );
}

fn lists(environment: &mut Environment<'static>) {
    environment.add_filter("lines", |state: &State, value: &Value| {
        let text = value.as_str().unwrap_or_default();
        pay(state, text.matches('\n').count().saturating_mul(PLACE))?;
        filters::lines(value)
    });
    environment.add_filter(
        "split",
        |state: &State, value: &Value, by: Option<std::sync::Arc<str>>, most: Option<i64>| {
            let text = value.as_str().unwrap_or_default();
            pay(state, parts(text, by.as_deref()).saturating_mul(PLACE))?;
            filters::split(value, by, most)
        },
    );
}

/// Pays for a text into which the largest argument is put this often.
pub(crate) fn pay_fields(state: &State, fields: usize, args: &[Value]) -> Result<(), Error> {
    let mut largest = 0;
    for arg in args {
        largest = largest.max(weigh(state, arg)?);
    }
    state.consume_fuel(largest.saturating_mul(fields as u64))
}

/// How many parts a text is split into, at most.
pub(crate) fn parts(text: &str, separator: Option<&str>) -> usize {
    1 + match separator {
        Some(separator) => text.matches(separator).count(),
        None => text.matches(char::is_whitespace).count(),
    }
}

fn comparisons(environment: &mut Environment<'static>) {
    type Comparison = fn(&Value, &Value) -> bool;
    let comparisons: [(&[&'static str], Comparison); 6] = [
        (&["eq", "equalto", "=="], tests::is_eq),
        (&["ne", "!="], tests::is_ne),
        (&["lt", "lessthan", "<"], tests::is_lt),
        (&["le", "<="], tests::is_le),
        (&["gt", "greaterthan", ">"], tests::is_gt),
        (&["ge", ">="], tests::is_ge),
    ];
    for (names, test) in comparisons {
        for name in names {
            environment.add_test(*name, move |state: &State, value: &Value, other: &Value| {
                weigh(state, other)?;
                Ok::<_, Error>(test(value, other))
            });
        }
    }
    environment.add_test("in", |state: &State, value: &Value, other: &Value| {
        weigh(state, value)?;
        weigh(state, other)?;
        tests::is_in(state, value, other)
    });
    for name in ["startingwith", "endingwith"] {
        environment.add_test(name, move |state: &State, value: &Value, other: &Value| {
            weigh_nested(state, value)?;
            weigh_nested(state, other)?;
            let (text, affix) = (StringInput::new(state, value)?, StringInput::new(state, other)?);
            Ok::<_, Error>(match name {
                "startingwith" => text.as_str().starts_with(affix.as_str()),
                _ => text.as_str().ends_with(affix.as_str()),
            })
        });
    }
}
