//! What each option means, at each level, and the sentence for each mistake.

mod mistakes;
mod noise;
mod said;
mod tls;
mod tutorial;
mod values;

use super::meaning::Machine;
use super::*;

/// A machine of four CPUs without a quota.
const FOUR: Machine = machine(4, 4);

const fn machine(parallelism: usize, cpus_allowed: usize) -> Machine {
    Machine {
        parallelism: NonZeroUsize::new(parallelism).unwrap(),
        cpus_allowed,
        has_sockets: false,
    }
}

/// One start of the program.
#[derive(Clone, Copy)]
struct Start<'a> {
    machine: Machine,
    args: &'a [&'a str],
    environment: &'a [(&'a str, &'a str)],
    /// The contents of `ringback.toml`, the only file there is.
    file: &'a str,
}

const PLAIN: Start<'static> = Start {
    machine: FOUR,
    args: &[],
    environment: &[],
    file: "",
};

impl Start<'_> {
    fn parse(self) -> Result<Command, ParseStop> {
        let args = std::iter::once("ringback").chain(self.args.iter().copied());
        let environment: Vec<(String, String)> = self
            .environment
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        parse_on(
            self.machine,
            args.map(OsString::from),
            &environment,
            |path| match path.to_str() {
                Some("ringback.toml") => Ok(self.file.to_owned()),
                _ => Err(io::ErrorKind::NotFound.into()),
            },
        )
    }

    fn config(self) -> Config {
        match self.parse() {
            Ok(Command::Serve(config)) => *config,
            other => panic!("{other:?}"),
        }
    }

    fn error(self) -> String {
        match self.parse() {
            Err(ParseStop::Error(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

fn flags(args: &[&str]) -> Config {
    Start { args, ..PLAIN }.config()
}

fn file(file: &str) -> Config {
    Start {
        args: &["--config", "ringback.toml"],
        file,
        ..PLAIN
    }
    .config()
}

fn flags_error(args: &[&str]) -> String {
    Start { args, ..PLAIN }.error()
}

fn variable_error(name: &str, value: &str) -> String {
    Start {
        environment: &[(name, value)],
        ..PLAIN
    }
    .error()
}

fn file_error(file: &str) -> String {
    Start {
        args: &["--config", "ringback.toml"],
        file,
        ..PLAIN
    }
    .error()
}
