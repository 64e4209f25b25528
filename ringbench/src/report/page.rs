//! The HTML page: one file that needs no network and runs no script.

use std::fmt::Write as _;

use maud::{Markup, html};
use ringload::output::page::{frame, palette, theme};

use super::figures::{Cell, Kind, Metric};
use super::plot::Look;
use super::tables;
use super::view::{Family, Figure, View};

/// How to read the figures.
pub(super) const LEGEND: &str = "\
Figures are the median of the rounds with, in brackets, the smallest and the largest. Percentiles are of all \
rounds together: their histograms are added, never averaged. Latency at saturation is what a message waited in \
that closed loop; at a fixed rate it counts from when the message was due. CPU is the server's own, user and \
system. A ratio is taken inside a round: the geometric mean of the rounds with, in brackets, its interval. ? marks one \
that is unresolved, which is not a result: 1 lies in its interval, or there are fewer than 6 rounds. The intervals are \
Student's, widened so that all of the report hold at once 95 times in 100.";

/// What the verdicts mean.
pub(super) const VERDICTS: [(&str, &str); 6] = [
    (
        "server-bound",
        "the server had nothing left and the generator had: the figures are the server's",
    ),
    (
        "generator-bound",
        "the generator had nothing left: throughput is a lower bound, CPU per message holds",
    ),
    (
        "load-bound",
        "both had time left: the load that was asked for set the pace",
    ),
    (
        "noisy",
        "others took part, or the halves of the window disagree: compare CPU per message only",
    ),
    (
        "invalid",
        "something went wrong: not a result, and not counted",
    ),
    ("unobserved", "the server's CPU time is not known"),
];

/// The whole page.
pub(super) fn page(view: &View<'_>) -> String {
    let suite = &view.results.suite;
    let families = view.families();
    let body = html! {
        header {
            (theme())
            h1 { (suite.title) }
            p.quiet { (circumstances(view)) }
        }
        main {
            (missing(view))
            (headline(view))
            nav aria-label="Contents" {
                ul {
                    @for (at, family) in families.iter().enumerate() {
                        li { a href={ "#w" (at + 1) } { (family.title) } }
                    }
                    li { a href="#servers" { "Servers" } }
                    li { a href="#verdicts" { "Verdicts" } }
                    li { a href="#environment" { "Environment" } }
                    li { a href="#commands" { "Commands" } }
                }
            }
            p { (LEGEND) }
            (switches(view))
            @for (at, family) in families.iter().enumerate() {
                (section(view, family, at + 1))
            }
            (servers(view))
            (verdicts(view))
            (environment(view))
            (commands(view))
        }
        footer {
            p { "Made by ringbench " (env!("CARGO_PKG_VERSION")) " from " code { (view.results.name) } "." }
        }
    };
    frame(&suite.title, &switch_rules(view), &body)
}

fn circumstances(view: &View<'_>) -> String {
    let suite = &view.results.suite;
    // Without a suite.json nothing of it is known.
    let is_begun = !suite.started.is_empty();
    let property = |path: &str| {
        let rows = tables::flatten(view.results.environment.as_ref()?);
        rows.into_iter()
            .find(|(name, _)| name == path)
            .map(|(_, value)| value)
    };
    let parts = [
        is_begun.then(|| match &suite.finished {
            Some(finished) => format!("measured from {} to {finished}", suite.started),
            None => format!("begun {}, not finished", suite.started),
        }),
        property("cpu.model"),
        property("kernel"),
        is_begun.then(|| format!("{} rounds, interleaved in random order", suite.rounds)),
        is_begun.then(|| format!("seed {}", suite.seed)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// What a reader must know first.
fn missing(view: &View<'_>) -> Markup {
    let notes = view.results.suite.notes.iter().chain(&view.missing);
    let notes: Vec<&String> = notes.collect();
    let failed = tables::failed(view);
    let skipped = tables::skipped(view);
    html! {
        @if !notes.is_empty() || !failed.is_empty() || !skipped.is_empty() {
            section.notes aria-label="Notes" {
                @for (title, lines) in [("Skipped", &skipped), ("Without figures", &failed)] {
                    @if !lines.is_empty() {
                        h3 { (title) }
                        ul { @for line in lines { li { (line) } } }
                    }
                }
                @if !notes.is_empty() {
                    h3 { "Notes" }
                    ul { @for note in notes { li { (note) } } }
                }
            }
        }
    }
}

/// What came out, in a sentence for each of the project's own servers, and the plot that shows it.
fn headline(view: &View<'_>) -> Markup {
    let Some(table) = view.main() else {
        return html! { p.lead { "There is no run with figures of the server's CPU time." } };
    };
    let lines = sentences(view);
    html! {
        @for line in &lines { p.lead { (line) } }
        @if let Some(figure) = view.bars(table, Metric::Cpu) {
            div.figures { (draw(view, &figure)) }
        }
    }
}

/// What came out for each of the project's own servers.
pub(super) fn sentences(view: &View<'_>) -> Vec<String> {
    let Some(table) = view.main() else {
        return Vec::new();
    };
    let line = |number: usize, cell: &Cell<'_>| {
        let cpu = cell.spread(Metric::Cpu)?;
        let server = &view.server(number).title;
        let mut line = format!(
            "{}: {server} takes {} of CPU per {}",
            table.workload.title,
            Metric::Cpu.text(cpu.median),
            table.kind.unit()
        );
        if let Some(ratio) = view.ratio(table, Metric::Cpu, number) {
            let baseline = view
                .baseline
                .map_or("", |number| view.server(number).title.as_str());
            let (times, low, high) = (ratio.ratio, ratio.low, ratio.high);
            // Writing to a string cannot fail.
            let _ = write!(
                line,
                ", {times:.2} ({low:.2}–{high:.2}) times what {baseline} does"
            );
            if !ratio.is_resolved() {
                line.push_str("; unresolved");
            }
        }
        Some(format!("{line}."))
    };
    let ours = table
        .cells
        .iter()
        .filter(|(number, _)| view.is_ours(**number));
    ours.filter_map(|(number, cell)| line(*number, cell))
        .collect()
}

/// Switches for the curves of each server.
fn switches(view: &View<'_>) -> Markup {
    html! {
        @if has_curves(view) {
            fieldset {
                legend { "Curves shown" }
                @for (number, server) in view.results.suite.servers.iter().enumerate().take(palette::SERIES) {
                    @if is_measured(view, number) {
                        label {
                            input type="checkbox" id={ "show-" (number + 1) } checked;
                            " " (swatch(Look::of(number))) " " (server.title)
                        }
                    }
                }
            }
        }
    }
}

fn has_curves(view: &View<'_>) -> bool {
    view.tables
        .iter()
        .any(|table| matches!(table.kind, Kind::Saturated | Kind::Paced | Kind::Knee))
}

fn is_measured(view: &View<'_>, number: usize) -> bool {
    view.tables
        .iter()
        .any(|table| table.cells.contains_key(&number))
}

fn switch_rules(view: &View<'_>) -> String {
    let mut rules = String::new();
    for number in 1..=view.results.suite.servers.len().min(palette::SERIES) {
        // Writing to a string cannot fail.
        let _ = write!(
            rules,
            "body:has(#show-{number}:not(:checked)) .curves .s{number}{{display:none}}"
        );
    }
    rules
}

fn section(view: &View<'_>, family: &Family<'_, '_>, number: usize) -> Markup {
    html! {
        section id={ "w" (number) } {
            h2 { (family.title) }
            div.figures {
                @for figure in side_by_side(view, family) { (draw(view, &figure)) }
            }
            @for table in &family.tables {
                h3 { (table.workload.title) " " span.quiet { code { (table.workload.name) } } }
                (tables::figures(view, table).html())
            }
        }
    }
}

/// The drawings of a family: what is the same of each workload one beside the other.
fn side_by_side(view: &View<'_>, family: &Family<'_, '_>) -> Vec<Figure> {
    let mut by_table: Vec<_> = family
        .tables
        .iter()
        .map(|table| view.figures(table).into_iter())
        .collect();
    let mut figures = Vec::new();
    loop {
        let before = figures.len();
        figures.extend(by_table.iter_mut().filter_map(Iterator::next));
        if figures.len() == before {
            return figures;
        }
    }
}

/// A drawing with its caption and, if it needs one, its legend.
pub(super) fn draw(view: &View<'_>, figure: &Figure) -> Markup {
    html! {
        figure class=[(!figure.legend.is_empty()).then_some("curves")] {
            figcaption { (figure.caption) }
            (figure.plot.inline())
            @if !figure.legend.is_empty() {
                ul.legend {
                    @for number in &figure.legend {
                        li { (swatch(Look::of(*number))) (view.server(*number).title) }
                    }
                }
            }
        }
    }
}

fn swatch(look: Look) -> Markup {
    html! {
        svg viewBox="0 0 36 14" aria-hidden="true" {
            line x1="0" y1="7" x2="36" y2="7" stroke=(look.color()) stroke-width="2" stroke-dasharray=(look.dashes()) {}
            path transform="translate(18 7)" d=(look.marker_path()) fill=(look.color()) stroke=(look.color()) stroke-width="1.5" {}
        }
    }
}

fn servers(view: &View<'_>) -> Markup {
    html! {
        section id="servers" {
            h2 { "Servers" }
            dl {
                @for (number, server) in view.results.suite.servers.iter().enumerate() {
                    dt { (server.title) " " span.quiet { code { (server.name) } } }
                    dd {
                        @if !server.what.is_empty() { (server.what) ". " }
                        @if !server.source.is_empty() { "Source: " (server.source) ". " }
                        @if let Some(version) = &server.version { "Version: " (version) ". " }
                        @match server.threads.as_str() {
                            "one" => { "Kept on one CPU. " }
                            "all" => { "Uses all CPUs it is given. " }
                            _ => {}
                        }
                        @if view.baseline == Some(number) { "The baseline. " }
                        @if server.role == "limit" { "No WebSocket: the floor for any server. " }
                        @if !server.speed.is_empty() { br; span.quiet { "For speed: " (server.speed) } }
                    }
                }
            }
        }
    }
}

fn verdicts(view: &View<'_>) -> Markup {
    let runs = tables::runs(view);
    html! {
        section id="verdicts" {
            h2 { "Verdicts" }
            ul {
                @for (verdict, meaning) in VERDICTS { li { strong { (verdict) } ": " (meaning) "." } }
            }
            @if !runs.is_empty() {
                details {
                    summary { "All " (view.results.runs.len()) " runs" }
                    (runs.html())
                }
            }
        }
    }
}

fn environment(view: &View<'_>) -> Markup {
    html! {
        section id="environment" {
            h2 { "Environment" }
            @match &view.results.environment {
                Some(environment) => (tables::properties(environment).html()),
                None => p { "It was not recorded." },
            }
            @if let Some(selftest) = &view.results.selftest {
                details {
                    summary { "What the generator can do here (selftest)" }
                    (tables::properties(selftest).html())
                }
            }
        }
    }
}

fn commands(view: &View<'_>) -> Markup {
    html! {
        section id="commands" {
            h2 { "Commands" }
            p { "Servers:" }
            ul {
                @for server in view.results.suite.servers.iter().filter(|server| !server.command.is_empty()) {
                    li { (server.title) ": " code { (words(&server.command)) } }
                }
            }
            p { "The generator, for the first run of each workload:" }
            ul {
                @for (workload, line) in generator_commands(view) {
                    li { (workload) ": " code { (words(&line)) } }
                }
            }
        }
    }
}

/// The generator's command line in the first run of each workload.
fn generator_commands(view: &View<'_>) -> Vec<(String, Vec<String>)> {
    let of = |table: &super::figures::Table<'_>| {
        let mut runs = view.results.runs.iter();
        let run = runs.find(|run| run.workload == table.workload.name)?;
        let environment = run.document.environment();
        Some((
            table.workload.name.clone(),
            environment.command_line.clone(),
        ))
    };
    view.tables.iter().filter_map(of).collect()
}

/// A command as one would type it.
fn words(command: &[String]) -> String {
    let word = |word: &String| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+{}".contains(c);
        match !word.is_empty() && word.chars().all(is_plain) {
            true => word.clone(),
            false => format!("'{}'", word.replace('\'', r"'\''")),
        }
    };
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}
