//! What is to be run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Where the operator mounts the script that a workflow's `input` became.
pub const INPUT_SCRIPT: &str = "/var/run/puppet/relay/config/input-script";

/// A program and its arguments, as the operator writes them behind the entrypoint's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The program: a path, or a name to be looked up in the step's `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Whether it is the author's script. Nobody has described the specification of a script,
    /// so it is not validated.
    pub is_input_script: bool,
}

impl Invocation {
    /// A program that is not an input script.
    pub fn new<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
            is_input_script: false,
        }
    }

    /// Reads `-entrypoint PROGRAM [--] ARGUMENTS…`, without the name of the entrypoint itself.
    /// `None` stands for an empty command line: an image which names no program.
    ///
    /// ```
    /// use relay_tools::entrypoint::Invocation;
    ///
    /// let line = ["-entrypoint", "/bin/echo", "--", "-n", "hello"];
    /// assert_eq!(
    ///     Invocation::parse(line),
    ///     Ok(Some(Invocation::new("/bin/echo", ["-n", "hello"]))),
    /// );
    /// ```
    ///
    /// # Errors
    /// [`InvocationError`] for other flags, for a missing program and for arguments without one.
    pub fn parse<A: Into<OsString>>(
        args: impl IntoIterator<Item = A>,
    ) -> Result<Option<Self>, InvocationError> {
        let mut rest = args.into_iter().map(Into::into).peekable();
        let mut program: Option<OsString> = None;
        while let Some(flag) = rest.next_if(|arg| is_flag(arg)) {
            if flag == "--" {
                break;
            }
            let text = flag.to_string_lossy();
            let name = text.trim_start_matches('-');
            program = match name.split_once('=') {
                None if name == "entrypoint" => {
                    Some(rest.next().ok_or(InvocationError::NoProgram)?)
                }
                Some(("entrypoint", value)) => Some(value.into()),
                _ => return Err(InvocationError::Flag { flag }),
            };
        }
        let args: Vec<OsString> = rest.collect();
        match program {
            None if args.is_empty() => Ok(None),
            None => Err(InvocationError::NoProgram),
            Some(program) if program.is_empty() => Err(InvocationError::NoProgram),
            Some(program) => Ok(Some(Self {
                is_input_script: Path::new(&program) == Path::new(INPUT_SCRIPT),
                program: program.into(),
                args,
            })),
        }
    }
}

fn is_flag(arg: &OsStr) -> bool {
    arg.len() > 1 && arg.as_encoded_bytes().starts_with(b"-")
}

/// A command line that names nothing to run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvocationError {
    /// A flag other than `-entrypoint`.
    #[error("flag {flag:?} is not known: -entrypoint PROGRAM -- ARGUMENTS… is expected")]
    Flag {
        /// The flag.
        flag: OsString,
    },
    /// No program.
    #[error("no program to run: -entrypoint PROGRAM -- ARGUMENTS… is expected")]
    NoProgram,
}
