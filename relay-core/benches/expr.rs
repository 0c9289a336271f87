//! How fast trees are parsed and evaluated: three documents of 5, 80 and 100 references, and their
//! like in growing sizes. Allocations are counted once for each, before anything is timed.
//!
//! `cargo bench -p relay-core --bench expr`

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark reports, and fails loudly"
)]
#![expect(unsafe_code, reason = "counting allocations takes a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use relay_core::Value;
use relay_core::expr::{Environment, Expression, Reference};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Document {
    id: String,
    json: String,
    tree: Value,
    environment: Environment,
}

fn documents() -> Vec<Document> {
    let file = Value::from_json(include_str!("expressions.json")).unwrap();
    let cases = file.get("cases").unwrap().as_list().unwrap();
    cases.iter().map(document).collect()
}

fn document(case: &Value) -> Document {
    let env = case.get("env").unwrap();
    let mut environment = Environment::new(jiff::Timestamp::UNIX_EPOCH);
    let members = |part: &str| {
        let part = env.get(part).and_then(Value::as_map).cloned().unwrap_or_default();
        part.into_iter()
    };
    for (name, value) in members("parameters") {
        environment.insert(Reference::Parameter { name }, Some(value));
    }
    for (name, value) in members("secrets") {
        environment.insert(Reference::Secret { name }, Some(value));
    }
    for (from, outputs) in members("outputs") {
        for (name, value) in outputs.as_map().unwrap() {
            let reference = Reference::Output { from: from.clone(), name: name.clone() };
            environment.insert(reference, Some(value.clone()));
        }
    }
    let tree = case.get("tree").unwrap().clone();
    let expected = case.get("expect").unwrap();
    let evaluation = Expression::parse(&tree).evaluate(&environment).result.unwrap();
    assert_eq!(Some(&evaluation.value), expected.get("value"), "the value is the expected one");
    Document {
        id: case.get("id").unwrap().as_str().unwrap().to_owned(),
        json: tree.to_json(),
        tree,
        environment,
    }
}

fn allocations<T>(run: impl FnOnce() -> T) -> u64 {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    black_box(run());
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

fn expressions(criterion: &mut Criterion) {
    let documents = documents();
    for Document { id, json, tree, environment } in &documents {
        let expression = Expression::parse(tree);
        println!(
            "{id}: {} bytes; allocations: read {}, parse {}, evaluate {}",
            json.len(),
            allocations(|| Value::from_json(json)),
            allocations(|| Expression::parse(tree)),
            allocations(|| expression.evaluate(environment)),
        );
    }
    let mut group = criterion.benchmark_group("read, parse and evaluate");
    for Document { id, json, environment, .. } in &documents {
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let tree = Value::from_json(json).unwrap();
                Expression::parse(&tree).evaluate(environment)
            });
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("parse and evaluate");
    for Document { id, tree, environment, .. } in &documents {
        group.bench_function(id, |bencher| {
            bencher.iter(|| Expression::parse(tree).evaluate(environment));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("evaluate");
    for Document { id, tree, environment, .. } in &documents {
        let expression = Expression::parse(tree);
        group.bench_function(id, |bencher| bencher.iter(|| expression.evaluate(environment)));
    }
    group.finish();
}

/// The time for each of n copies of the small document stays the same.
fn growth(criterion: &mut Criterion) {
    let documents = documents();
    let Some(small) = documents.first() else { return };
    let mut group = criterion.benchmark_group("parse and evaluate copies");
    for copies in [1, 10, 100, 1000] {
        let tree = Value::from(vec![small.tree.clone(); copies]);
        group.throughput(Throughput::Elements(copies as u64));
        group.bench_with_input(BenchmarkId::from_parameter(copies), &tree, |bencher, tree| {
            bencher.iter(|| Expression::parse(tree).evaluate(&small.environment));
        });
    }
    group.finish();
}

criterion_group!(benches, expressions, growth);
criterion_main!(benches);
