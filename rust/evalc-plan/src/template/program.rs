//! A template's instructions with what the engine does not pay for weighed in between.
//!
//! The engine counts instructions and the bytes that it makes. A comparison of two long texts, a
//! letter of a long text, a list inside of itself and a copy of literal text are one instruction
//! each, so before these stands a test (which no template can name) that pays for them.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use minijinja::machinery::{
    self, make_string_output, parse_expr, CodeGenerator, Instruction, Instructions,
};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value};

use super::arguments::refusal;
use super::engine;
use super::weight::{self, UNIT};
use crate::effort;

/// Printed text costs this many times what the engine takes, so that it stays within 64 MiB.
const PRINTING: usize = 3;

/// Work that a failing render of such a template counts for; of another it counts as an eighth of
/// what a render may do.
const CHEAP: u64 = 100;

/// After so many renders that did too much work the rest is not tried: there may be a million rows.
const EXHAUSTED: usize = 4;

const WEIGH: &str = "<weigh>";
const NESTED: &str = "<nested>";
const LETTERS: &str = "<letters>";
const KEEP: &str = "<keep>";
const ATTRIBUTE: &str = "<attribute>";
const LITERAL: &str = "<literal>";
const KEYS: &str = "<keys>";
const SLICE: &str = "<slice>";

/// Compiled instructions; they live as long as the process, as does the text that they point into.
pub(crate) struct Program {
    instructions: Instructions<'static>,
    blocks: BTreeMap<&'static str, Instructions<'static>>,
    /// How many renders could not pay for their work.
    exhausted: AtomicUsize,
    /// Work that a render counts for which fails: what it did is not told.
    failing: u64,
}

impl Program {
    /// Compiles a template that the engine has parsed.
    pub fn template(
        name: &'static str,
        text: &str,
        syntax: SyntaxConfig,
    ) -> Result<Program, Error> {
        let text = kept(text);
        let parsed = machinery::parse(text, name, syntax)?;
        let mut generator = CodeGenerator::new(name, text);
        generator.compile_stmt(&parsed);
        Ok(Program::of(generator))
    }

    /// Compiles an expression.
    pub fn expression(text: &str) -> Result<Program, Error> {
        let text = kept(text);
        let parsed = parse_expr(text)?;
        let mut generator = CodeGenerator::new("<expression>", text);
        generator.compile_expr(&parsed);
        Ok(Program::of(generator))
    }

    fn of(generator: CodeGenerator<'static>) -> Program {
        let (instructions, blocks) = generator.finish();
        let mut listed = (0..).map_while(|at| instructions.get(at));
        let failing = if listed.all(is_cheap) { CHEAP } else { engine::FUEL / 8 };
        Program {
            instructions: weighed(&instructions),
            blocks: blocks.into_iter().map(|(name, block)| (name, weighed(&block))).collect(),
            exhausted: AtomicUsize::new(0),
            failing,
        }
    }

    /// What is printed, and the value that is left over by an expression.
    pub fn run<'env>(
        &'env self,
        environment: &'env Environment<'env>,
        context: &Value,
    ) -> Result<(String, Option<Value>), Error> {
        if self.exhausted.load(Ordering::Relaxed) >= EXHAUSTED {
            return Err(refusal("the template did too much work on other rows"));
        }
        self.evaluated(environment, context).inspect_err(|error| {
            let exhausted = error.kind() == ErrorKind::OutOfFuel;
            self.exhausted.fetch_add(usize::from(exhausted), Ordering::Relaxed);
        })
    }

    fn evaluated<'env>(
        &'env self,
        environment: &'env Environment<'env>,
        context: &Value,
    ) -> Result<(String, Option<Value>), Error> {
        let mut text = String::new();
        let mut out = make_string_output(&mut text);
        let context = context.clone();
        let none = AutoEscape::None;
        let evaluated =
            machinery::eval(environment, &self.instructions, context, &self.blocks, &mut out, none);
        // what an error has cost is not told
        let (value, state) = evaluated.inspect_err(|_| effort::spend(self.failing))?;
        let weighed = value.as_ref().map_or(Ok(0), |value| weight::weigh(&state, value));
        effort::spend(state.fuel_levels().map_or(0, |(consumed, _)| consumed));
        weighed?;
        drop(state);
        Ok((text, value))
    }
}

/// Pays for text that is printed.
pub(crate) fn pay_printing(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel((bytes / UNIT * PRINTING) as u64)
}

/// The tests and the filter that weighed instructions use.
pub(crate) fn register(environment: &mut Environment<'static>) {
    type Weigh = fn(&State, &Value) -> Result<u64, Error>;
    let tests: [(&'static str, Weigh); 6] = [
        (WEIGH, weight::weigh),
        (NESTED, weight::weigh_nested),
        (LETTERS, weight::weigh_letters),
        (KEEP, weight::measure),
        (ATTRIBUTE, weight::measure_attribute),
        (KEYS, weight::weigh_keys),
    ];
    for (name, weigh) in tests {
        environment
            .add_test(name, move |state: &State, value: &Value| weigh(state, value).map(|_| true));
    }
    environment
        .add_test(LITERAL, |state: &State, bytes: usize| pay_printing(state, bytes).map(|()| true));
    environment.add_filter(SLICE, slice);
}

/// `value[start:stop:step]`, whose cost does not depend on what is left of a text.
fn slice(
    state: &State,
    value: &Value,
    start: &Value,
    stop: &Value,
    step: &Value,
) -> Result<Value, Error> {
    static SLICES: OnceLock<Environment<'static>> = OnceLock::new();
    weight::weigh_letters(state, value)?;
    if value.is_undefined() {
        minijinja::value::StringInput::new(state, value)?;
    }
    let slices = SLICES.get_or_init(Environment::new);
    let given = [("v", value), ("a", start), ("b", stop), ("c", step)];
    let given = Value::from_pairs(given.map(|(name, value)| (name, value.clone())));
    slices.compile_expression("v[a:b:c]").and_then(|expression| expression.eval(given))
}

/// One copy of a text for the rest of the process: the engine's instructions borrow from it.
fn kept(text: &str) -> &'static str {
    static KEPT: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = kept.get_or_insert_with(HashSet::new);
    if let Some(known) = kept.get(text) {
        return known;
    }
    let new: &'static str = Box::leak(text.into());
    kept.insert(new);
    new
}

fn weighed(given: &Instructions<'static>) -> Instructions<'static> {
    let listed: Vec<&Instruction<'static>> = (0..).map_while(|at| given.get(at)).collect();
    let mut steps: Vec<Vec<Instruction<'static>>> = listed
        .iter()
        .enumerate()
        .map(|(at, instruction)| before(instruction, at.checked_sub(1).map(|at| listed[at])))
        .collect();
    for at in (0..listed.len()).filter(|&at| matches!(listed[at], Instruction::GetItem)) {
        let (place, weighing) = before_item(&listed, at);
        steps[place].extend(weighing);
    }
    let mut places: Vec<u32> = Vec::with_capacity(listed.len() + 1);
    let mut next = 0;
    for steps in &steps {
        places.push(next);
        next += steps.len() as u32 + 1;
    }
    places.push(next);
    let mut out = Instructions::new(given.name(), given.source());
    for (at, steps) in steps.into_iter().enumerate() {
        let moved = moved(listed[at], &places);
        for instruction in steps.into_iter().chain([moved]) {
            match (given.get_span(at as u32), given.get_line(at as u32)) {
                (Some(span), _) => out.add_with_span(instruction, span),
                (None, Some(line)) => out.add_with_line(instruction, line as u16),
                (None, None) => out.add(instruction),
            };
        }
    }
    out
}

/// What stands before an instruction: tests of the value on top of the stack, or of the one below.
fn before(
    instruction: &Instruction<'static>,
    previous: Option<&Instruction<'static>>,
) -> Vec<Instruction<'static>> {
    let mut steps = match previous {
        Some(Instruction::BuildMap(1..)) => top(KEYS),
        _ => Vec::new(),
    };
    steps.extend(weighing(instruction, previous));
    steps
}

fn weighing(
    instruction: &Instruction<'static>,
    previous: Option<&Instruction<'static>>,
) -> Vec<Instruction<'static>> {
    use Instruction as I;
    match instruction {
        I::Eq | I::Ne | I::Gt | I::Gte | I::Lt | I::Lte => top(WEIGH),
        I::CompareAndPreserve(_) => both(WEIGH),
        I::In => both(WEIGH),
        I::StringConcat => both(NESTED),
        I::PushLoop(_) => top(LETTERS),
        I::SetAttr(_) => second(ATTRIBUTE),
        I::StoreLocal(_) if previous.is_some_and(makes_a_value) => top(KEEP),
        I::EmitRaw(text) if text.len() >= UNIT => {
            let bytes = Value::from(text.len());
            vec![I::LoadConst(bytes), I::PerformTest(LITERAL, Some(1), !0), I::DiscardTop]
        }
        _ => Vec::new(),
    }
}

/// What weighs the operands of `value[key]`, and before which instruction it stands.
///
/// The engine words what is undefined (`doc.rows[0]`) by the instructions right before, so plain names
/// are looked up once more in front of them.
fn before_item(listed: &[&Instruction<'static>], at: usize) -> (usize, Vec<Instruction<'static>>) {
    use Instruction as I;
    let Some(key) = at.checked_sub(1) else { return (at, Vec::new()) };
    if matches!(listed[key], I::LoadConst(key) if key.as_str().is_some()) {
        return (at, Vec::new());
    }
    let mut start = key;
    while start > 0 && matches!(listed[start - 1], I::GetAttr(_)) {
        start -= 1;
    }
    let plain = matches!(listed[key], I::LoadConst(_) | I::Lookup(_));
    if !plain || start == 0 || !matches!(listed[start - 1], I::Lookup(_)) {
        return (at, both(LETTERS));
    }
    let test = || [I::PerformTest(LETTERS, Some(1), !0), I::DiscardTop];
    let mut steps: Vec<_> = listed[start - 1..key].iter().map(|&step| step.clone()).collect();
    steps.extend(test());
    if matches!(listed[key], I::Lookup(_)) {
        steps.push(listed[key].clone());
        steps.extend(test());
    }
    (start - 1, steps)
}

/// Whether an instruction takes little, whatever the row holds.
fn is_cheap(instruction: &Instruction) -> bool {
    use Instruction as I;
    matches!(
        instruction,
        I::EmitRaw(_) | I::Emit | I::Lookup(_) | I::GetAttr(_) | I::GetItem | I::LoadConst(_)
    )
}

fn makes_a_value(instruction: &Instruction) -> bool {
    use Instruction as I;
    matches!(
        instruction,
        I::BuildList(_)
            | I::BuildMap(_)
            | I::BuildTuple(_)
            | I::Add
            | I::Mul
            | I::ApplyFilter(..)
            | I::CallFunction(..)
            | I::CallMethod(..)
            | I::CallObject(_)
    )
}

fn top(test: &'static str) -> Vec<Instruction<'static>> {
    vec![Instruction::DupTop, Instruction::PerformTest(test, Some(1), !0), Instruction::DiscardTop]
}

fn second(test: &'static str) -> Vec<Instruction<'static>> {
    let mut steps = vec![Instruction::Swap];
    steps.extend(top(test));
    steps.push(Instruction::Swap);
    steps
}

fn both(test: &'static str) -> Vec<Instruction<'static>> {
    let mut steps = top(test);
    steps.extend(second(test));
    steps
}

/// The instruction with its jumps at their new places.
fn moved(instruction: &Instruction<'static>, places: &[u32]) -> Instruction<'static> {
    use Instruction as I;
    let place = |target: &u32| places.get(*target as usize).copied().unwrap_or(*target);
    match instruction {
        I::Iterate(target) => I::Iterate(place(target)),
        I::Jump(target) => I::Jump(place(target)),
        I::JumpIfFalse(target) => I::JumpIfFalse(place(target)),
        I::JumpIfFalseOrPop(target) => I::JumpIfFalseOrPop(place(target)),
        I::JumpIfTrueOrPop(target) => I::JumpIfTrueOrPop(place(target)),
        I::BuildMacro(name, offset, flags) => I::BuildMacro(name, place(offset), *flags),
        I::Slice => I::ApplyFilter(SLICE, Some(4), !0),
        other => (*other).clone(),
    }
}
