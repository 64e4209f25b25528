//! What a page says, block by block, and its two forms: HTML and Markdown. All text is data, and is escaped here.

use maud::{Markup, html};
use ringload::output::page::{frame, theme};

use super::grid::{Grid, escape};
use super::plot::Plot;

/// A page: its title, and what it says.
pub(super) struct Page(pub(super) String, pub(super) Vec<Block>);

/// A part of a page.
pub(super) enum Block {
    /// The beginning of a section, which the contents lead to.
    Heading(String),
    /// What is to be read first.
    Lead(String),
    Text(String),
    /// Sentences under a word, set off; nothing without sentences.
    List(&'static str, Vec<String>),
    Table(Grid),
    /// Of HTML alone.
    Pictures(Vec<Plot>),
    /// To be pasted into a shell.
    Command(String),
}

impl Page {
    /// As one file that needs no network and runs no script.
    pub(super) fn html(&self) -> String {
        let Page(title, blocks) = self;
        let body = html! {
            header { (theme()) h1 { (title) } }
            main {
                nav {
                    details {
                        summary { "Contents" }
                        ul {
                            @for (at, block) in blocks.iter().enumerate() {
                                @if let Block::Heading(text) = block { li { a href={ "#b" (at) } { (text) } } }
                            }
                        }
                    }
                }
                @for (at, block) in blocks.iter().enumerate() { (block.html(at)) }
            }
            footer { p { "Made by ringbench " (env!("CARGO_PKG_VERSION")) "." } }
        };
        frame(title, "", &body)
    }

    /// As Markdown, as GitHub shows it.
    pub(super) fn markdown(&self) -> String {
        let blocks: String = self.1.iter().map(Block::markdown).collect();
        format!("# {}\n{blocks}", escape(&self.0))
    }
}

impl Block {
    fn html(&self, at: usize) -> Markup {
        html! {
            @match self {
                Block::Heading(text) => h2 id={ "b" (at) } { (text) },
                Block::Lead(text) => p.lead { (text) },
                Block::Text(text) => p { (text) },
                Block::List(_, lines) if lines.is_empty() => {},
                Block::List(title, lines) => section.notes { h3 { (title) } ul { @for line in lines { li { (line) } } } },
                Block::Table(grid) => (grid.html()),
                Block::Pictures(plots) => div.figures {
                    @for plot in plots { figure { figcaption { (plot.0) } (plot.inline()) } }
                },
                Block::Command(command) => pre { (command) },
            }
        }
    }

    fn markdown(&self) -> String {
        match self {
            Block::Heading(text) => format!("\n## {}\n", escape(text)),
            Block::Lead(text) | Block::Text(text) => format!("\n{}\n", escape(text)),
            Block::List(_, lines) if lines.is_empty() => String::new(),
            Block::List(title, lines) => {
                let lines = lines.iter().map(|line| format!("- {}\n", escape(line)));
                format!("\n**{title}**\n\n{}", lines.collect::<String>())
            }
            Block::Table(grid) => format!("\n{}", grid.markdown(escape)),
            Block::Pictures(_) => String::new(),
            // Indented, no text of its own can end it.
            Block::Command(command) => format!("\n    {}\n", command.replace('\n', "\n    ")),
        }
    }
}
