//! What is made from the options for a shell and for a reader: completions, manual pages.

use clap_complete::Shell;
use clap_mangen::Man;

use super::ConfigError;
use super::error::quote;
use super::options::command;

/// Completions for a shell.
///
/// # Errors
/// Where nobody knows that shell.
pub(super) fn completions(shell: &str) -> Result<Vec<u8>, ConfigError> {
    let shell: Shell = shell.parse().map_err(|_| {
        let problem = format!("{} is no shell that is known", quote(shell));
        let remedy = "write bash, zsh, fish, elvish or powershell";
        ConfigError::new("SHELL", problem, remedy)
    })?;
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut command(), "ringback", &mut out);
    Ok(out)
}

/// The manual page of the program, or of one of its commands.
///
/// # Errors
/// Where there is no such command.
pub(super) fn manual(of: Option<&str>) -> Result<Vec<u8>, ConfigError> {
    let mut whole = command();
    // It gives the commands their full names.
    whole.build();
    let page = match of {
        None => whole,
        Some(name) => whole.find_subcommand(name).cloned().ok_or_else(|| {
            let all = whole.get_subcommands().map(clap::Command::get_name);
            let remedy = format!("write one of {}", all.collect::<Vec<_>>().join(", "));
            ConfigError::new("COMMAND", format!("{} is no command", quote(name)), remedy)
        })?,
    };
    let mut out = Vec::new();
    let written = Man::new(page).render(&mut out);
    written.map_err(|error| ConfigError::new("COMMAND", error.to_string(), "write another"))?;
    Ok(out)
}
