//! `relay eval`.

mod place;

use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use relay_core::expr::{
    Cause, Error, Evaluation, Expression, Language, Query, ResolveError, StoreResolver,
};
use relay_core::yaml::{self, Location, Node, Problem};
use relay_core::{
    Clock as _, Map, MemoryDefinition, MemoryJournal, MemorySecrets, SystemClock, Value,
};
use relay_local::Masks;
use serde_json::{Value as Json, json};

use self::place::Place;
use crate::{Out, print};

/// The tree or the query is wrong.
const WRONG: u8 = 1;
/// Something cannot be read.
const UNREADABLE: u8 = 2;
/// Some references have no value.
const UNRESOLVED: u8 = 3;

const EXAMPLES: &str = "\
Examples:
  relay eval '1 + 2 * 3'
  relay eval 'parameters.name + \"!\"' -p name=world
  relay eval 'Hello, ${parameters.name}!' -p name=world
  relay eval spec.yaml -p name=world --values secrets.yaml
  relay eval spec.yaml --query '$.items[*].name' --lang jsonpath
  relay eval '{range .hosts[*]}{@} {end}' --lang jsonpath-template \\
             --parameter-json 'hosts=[\"a\", \"b\"]'";

/// What `relay eval` is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// A file with a document, - for standard input, or an expression
    ///
    /// What is no file is an expression, as it stands between ${ and }; with ${ in it, a whole
    /// string with expressions in it.
    #[arg(value_name = "EXPR|FILE")]
    input: String,
    /// The value of a parameter, as text; may be repeated
    #[arg(short, long = "parameter", value_name = "NAME=VALUE", value_parser = pair)]
    parameters: Vec<(String, String)>,
    /// The value of a parameter as JSON, of any type
    #[arg(long = "parameter-json", value_name = "NAME=JSON", value_parser = json_pair)]
    typed_parameters: Vec<(String, Value)>,
    /// A file with secrets and connections
    #[arg(long, value_name = "FILE")]
    values: Option<PathBuf>,
    /// A query over the document
    #[arg(short, long, value_name = "QUERY")]
    query: Option<String>,
    /// The language of the query; without --query the expression is one, over the parameters
    #[arg(long, value_enum)]
    lang: Option<Lang>,
}

/// The languages of queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lang {
    Path,
    PathTemplate,
    Jsonpath,
    JsonpathTemplate,
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Path => Self::Path,
            Lang::PathTemplate => Self::PathTemplate,
            Lang::Jsonpath => Self::JsonPath,
            Lang::JsonpathTemplate => Self::JsonPathTemplate,
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE; the value may be empty".to_owned()),
    }
}

fn json_pair(text: &str) -> Result<(String, Value), String> {
    let (name, json) = pair(text)?;
    let value = Value::from_json(&json).map_err(|error| format!("not JSON: {error}"))?;
    Ok((name, value))
}

/// What is evaluated, and where its parts were written.
struct Input {
    tree: Expression,
    query: Option<Query>,
    /// The document, with the name of its file.
    document: Option<(String, Node)>,
    /// A text that stands alone, and how many bytes were put before it.
    text: Option<(String, usize)>,
}

/// Why there is nothing to evaluate.
enum Unusable {
    Message(String),
    Problems(String, Vec<Problem>),
    Query(Error, String),
}

/// Evaluates; the exit code.
pub(crate) async fn eval(options: &Options, out: Out) -> u8 {
    let printed = match evaluate(options).await {
        Ok(Outcome { result, input, masks }) => show(result, &input, &masks, out),
        Err(Unusable::Message(message)) => {
            print::error(&message);
            return UNREADABLE;
        }
        Err(Unusable::Problems(file, problems)) => show_problems(&file, &problems, out),
        Err(Unusable::Query(error, text)) => show_error(&Place::of_text(&error, &text, 0), out),
    };
    printed.unwrap_or_else(|error| {
        print::error(&format!("cannot print: {error}"));
        UNREADABLE
    })
}

struct Outcome {
    result: Result<Evaluation, ResolveError>,
    input: Input,
    masks: Masks,
}

async fn evaluate(options: &Options) -> Result<Outcome, Unusable> {
    let secrets = match &options.values {
        Some(path) => read_values(path)?,
        None => MemorySecrets::default(),
    };
    let texts = options.parameters.iter().map(|(name, text)| (name, text.as_str().into()));
    let typed = options.typed_parameters.iter().map(|(name, value)| (name, value.clone()));
    let parameters: Map =
        texts.chain(typed).map(|(name, value)| (name.as_str().into(), value)).collect();
    let input = read(options, &parameters)?;
    let masks = Masks::of(&secrets).await.map_err(|error| Unusable::Message(error.to_string()))?;
    let resolver = StoreResolver {
        definition: Some(Arc::new(MemoryDefinition { parameters, ..MemoryDefinition::default() })),
        journal: Some(Arc::new(MemoryJournal::new())),
        secrets: Some(Arc::new(secrets)),
        answers: true,
    };
    let now = SystemClock.now();
    let result = match &input.query {
        Some(query) => input.tree.resolve_query(query, &resolver, now).await,
        None => input.tree.resolve(&resolver, now).await,
    };
    Ok(Outcome { result, input, masks })
}

fn read_values(path: &Path) -> Result<MemorySecrets, Unusable> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Unusable::Message(format!("cannot read {name}: {error}")))?;
    MemorySecrets::from_yaml(&text).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(|problem| format!("{name}:{problem}")).collect();
        Unusable::Message(lines.join("\n       "))
    })
}

fn read(options: &Options, parameters: &Map) -> Result<Input, Unusable> {
    let query = |text: &str| {
        let language = options.lang.map(Language::from).unwrap_or_default();
        Query::parse(language, text).map_err(|error| Unusable::Query(error, text.to_owned()))
    };
    let input = options.input.as_str();
    let path = Path::new(input);
    let text = if input == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| Some(text))
    } else if path.is_file() {
        std::fs::read_to_string(path).map(Some)
    } else {
        Ok(None)
    };
    let text = text.map_err(|error| Unusable::Message(format!("cannot read {input}: {error}")))?;
    if let Some(text) = text {
        let (tree, node) = parse(input, &text)?;
        let query = options.query.as_deref().map(query).transpose()?;
        let document = node.map(|node| (input.to_owned(), node));
        return Ok(Input { tree, query, document, text: None });
    }
    if looks_like_a_file(path) {
        return Err(Unusable::Message(format!("cannot read {input}: there is no such file")));
    }
    match (&options.query, options.lang) {
        (Some(_), _) => {
            Err(Unusable::Message(format!("--query needs a file, and {input:?} is none")))
        }
        (None, Some(_)) => Ok(Input {
            tree: Expression::data(Value::from(parameters.clone())),
            query: Some(query(input)?),
            document: None,
            text: Some((input.to_owned(), 0)),
        }),
        (None, None) => {
            let (source, before) = if input.contains("${") {
                (input.to_owned(), 0)
            } else {
                (format!("${{{input}}}"), 2)
            };
            Ok(Input {
                tree: Expression::parse(&source.into()),
                query: None,
                document: None,
                text: Some((input.to_owned(), before)),
            })
        }
    }
}

fn looks_like_a_file(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json"))
        && path.to_str().is_some_and(|path| !path.contains([' ', '$', '(', '\'', '"']))
}

fn parse(name: &str, text: &str) -> Result<(Expression, Option<Node>), Unusable> {
    let stream = yaml::read(text);
    let mut problems = stream.problems;
    let node = stream.documents.into_iter().next();
    let tree = node.as_ref().map(|node| node.to_tree(&mut problems)).unwrap_or_default();
    if problems.is_empty() {
        Ok((Expression::parse(&tree), node))
    } else {
        Err(Unusable::Problems(name.to_owned(), problems))
    }
}

fn show(
    result: Result<Evaluation, ResolveError>,
    input: &Input,
    masks: &Masks,
    out: Out,
) -> io::Result<u8> {
    let evaluation = match result {
        Ok(evaluation) => evaluation,
        Err(ResolveError::Evaluate(error)) => {
            return show_error(&Place::find(&error, input), out);
        }
        Err(error) => {
            print::error(&error.to_string());
            return Ok(UNREADABLE);
        }
    };
    if let Some(path) = evaluation.value.first_unencodable() {
        let place = if path.is_empty() { String::new() } else { format!("{}: ", path.join(".")) };
        let message = format!("{place}{}", Cause::NotEncodable);
        return show_error(
            &Place { message, path, ..Place::new(&Cause::NotEncodable.into()) },
            out,
        );
    }
    let value = masks.value(&evaluation.value);
    let mut stdout = io::stdout().lock();
    match out {
        Out::Json => {
            let object = Value::map([
                ("value", value),
                ("complete", evaluation.is_complete().into()),
                ("unresolvable", evaluation.unresolvable.to_wire()),
                ("resolved", evaluation.resolved.to_wire()),
            ]);
            writeln!(stdout, "{}", object.to_json())?;
        }
        Out::Text => {
            match value.as_str() {
                Some(text) => writeln!(stdout, "{text}")?,
                None => writeln!(stdout, "{}", serde_json::to_string_pretty(&value)?)?,
            }
            stdout.flush()?;
            for missing in evaluation.unresolvable.descriptions() {
                writeln!(io::stderr(), "unresolved: {missing}")?;
            }
        }
    }
    stdout.flush()?;
    Ok(if evaluation.is_complete() { 0 } else { UNRESOLVED })
}

fn show_error(place: &Place, out: Out) -> io::Result<u8> {
    match out {
        Out::Json => {
            let mut error = json!({"kind": place.kind, "message": place.message});
            if let Json::Object(members) = &mut error {
                if !place.path.is_empty() {
                    members.insert("path".to_owned(), json!(place.path));
                }
                if let Some((file, location)) = &place.location {
                    members.insert("file".to_owned(), json!(file));
                    members.insert("line".to_owned(), json!(location.line));
                    members.insert("column".to_owned(), json!(location.column));
                }
                if let Some((_, column)) = &place.line {
                    members.insert("offset".to_owned(), json!(column));
                }
            }
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{}", json!({ "error": error }))?;
            stdout.flush()?;
        }
        Out::Text => {
            let mut stderr = io::stderr().lock();
            match &place.location {
                Some((file, location)) => {
                    writeln!(
                        stderr,
                        "{file}:{location}: error[{}]: {}",
                        place.kind, place.message
                    )?;
                }
                None => writeln!(stderr, "error[{}]: {}", place.kind, place.message)?,
            }
            if let Some((line, column)) = &place.line {
                writeln!(stderr, "  | {line}\n  | {:column$}^", "")?;
            }
        }
    }
    Ok(WRONG)
}

fn show_problems(file: &str, problems: &[Problem], out: Out) -> io::Result<u8> {
    match out {
        Out::Json => {
            let list: Vec<_> = problems
                .iter()
                .map(|problem| {
                    let Location { line, column } = problem.location;
                    json!({"file": file, "line": line, "column": column, "message": problem.text})
                })
                .collect();
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{}", json!({ "problems": list }))?;
            stdout.flush()?;
        }
        Out::Text => {
            for problem in problems {
                writeln!(io::stderr(), "{file}:{problem}")?;
            }
        }
    }
    Ok(WRONG)
}
