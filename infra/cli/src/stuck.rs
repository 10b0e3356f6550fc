//! `orderhook stuck`: what waits for a person, in one list; and sending it on, or giving it up.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::PathBuf;

use calls::now;
use clap::{Args, Subcommand};
use operate::stuck::{
    Done, Entry, Filter, Listing, Options, Room, RoomState, drop_all, list, release, show,
};
use operate::{Error, Exit, Stack, Target};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::Stop;
use crate::prompt::agrees;
use crate::screen::{Screen, Tone};
use crate::words::{bar, count, minute, of, span};

const EXAMPLES: &str = "\
Examples:
  orderhook stuck list
  orderhook stuck list --team sales --each
  orderhook stuck show 01a1f8d3-ea7b-7101-8101-010101010101.00007
  orderhook stuck release --team sales
  orderhook stuck release --in dead-letters/orders --dry-run
  orderhook stuck drop --in dead-letters/products --keep dropped.jsonl";

/// Commands about what waits.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Stuck {
    /// List it: undelivered events, dead letters and quarantined deliveries.
    ///
    /// Nothing is taken: what is looked at is hidden for 20 seconds at the most, and given back. Exits with 1 when something
    /// waits.
    List(List),
    /// Show one thing whole: its message, and of a quarantined delivery the bytes that were not understood.
    Show(Show),
    /// Send it into its lanes again, the oldest first; undelivered events for the one team that missed them.
    ///
    /// A message goes only after its lane has accepted what it stands for. Stopped at any point, nothing is lost: the same
    /// command goes on, and a few events may be sent twice, under their own ids. Exits with 1 when something is left.
    Release(Release),
    /// Give it up: each message is written to a file, and deleted then.
    Drop(Drop),
}

/// Which of it.
#[derive(Debug, Clone, Default, Args)]
pub struct Which {
    /// The queue's ids of messages, ids of events, or of deliveries.
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// The team that missed events.
    #[arg(long, value_name = "TEAM")]
    pub team: Option<String>,
    /// The account.
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// What events are about, such as order/or_1.
    #[arg(long, value_name = "KIND/ID")]
    pub subject: Option<String>,
    /// Where: undelivered, quarantine, dead-letters, or dead-letters/LANE.
    #[arg(long = "in", value_name = "ROOM")]
    pub rooms: Vec<String>,
}

impl Which {
    fn filter(&self) -> Result<Filter, Error> {
        let mut rooms = Vec::new();
        for name in &self.rooms {
            rooms.extend(Room::named(name)?);
        }
        if self.team.is_some() && !rooms.is_empty() && !rooms.contains(&Room::Undelivered) {
            let message = "only undelivered events are a team's: leave out --in or --team";
            return Err(Error::Usage(message.to_owned()));
        }
        Ok(Filter {
            rooms,
            team: self.team.clone(),
            account: self.account.clone(),
            subject: self.subject.clone(),
            ids: self.ids.iter().cloned().collect(),
        })
    }

    /// The same, where something has to be said.
    fn chosen(&self, all: bool) -> Result<Filter, Error> {
        let filter = self.filter()?;
        match all || filter.chooses() || !filter.rooms.is_empty() {
            true => Ok(filter),
            false => Err(Error::Usage(
                "say which: --team, --in, --account, --subject or ids; or --all".to_owned(),
            )),
        }
    }
}

/// Arguments of `stuck list`.
#[derive(Debug, Clone, Args)]
pub struct List {
    /// Which of it.
    #[command(flatten)]
    pub which: Which,
    /// A line for each of them.
    #[arg(long)]
    pub each: bool,
    /// Messages of each queue that are looked at, at most.
    #[arg(long, default_value_t = 1000, value_name = "COUNT")]
    pub limit: usize,
}

/// Arguments of `stuck show`.
#[derive(Debug, Clone, Args)]
pub struct Show {
    /// The queue's id of the message, or the id of the event or of the delivery.
    pub id: String,
    /// Messages of each queue that are looked at, at most.
    #[arg(long, default_value_t = 1000, value_name = "COUNT")]
    pub limit: usize,
}

/// Arguments of `stuck release`.
#[derive(Debug, Clone, Args)]
pub struct Release {
    /// Which of it.
    #[command(flatten)]
    pub which: Which,
    /// All of it.
    #[arg(long)]
    pub all: bool,
    /// Show what would be released, with its ids, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// At most so many events a second.
    #[arg(long, default_value_t = 50, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    /// At most so many messages.
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,
}

/// Arguments of `stuck drop`.
#[derive(Debug, Clone, Args)]
pub struct Drop {
    /// Which of it.
    #[command(flatten)]
    pub which: Which,
    /// All of it.
    #[arg(long)]
    pub all: bool,
    /// Show what would be dropped, with its ids, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The file that the messages are added to, a JSON document a line [default: orderhook-dropped-TIME.jsonl].
    #[arg(long, value_name = "FILE")]
    pub keep: Option<PathBuf>,
    /// At most so many messages.
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,
}

/// How many messages of a queue are looked at before the operator is asked.
const ASKED_ABOUT: usize = 1000;

/// Runs a command about what waits.
///
/// # Errors
/// There is no such stack, AWS cannot be asked, or nobody reads the output.
pub async fn run(
    command: &Stuck,
    yes: bool,
    target: &Target,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let stack = target.stack().await?;
    match command {
        Stuck::List(arguments) => listed(arguments, target, &stack, screen).await,
        Stuck::Show(arguments) => shown(arguments, target, &stack, screen).await,
        Stuck::Release(arguments) => released(arguments, yes, target, &stack, screen).await,
        Stuck::Drop(arguments) => dropped(arguments, yes, target, &stack, screen).await,
    }
}

async fn listed(
    arguments: &List,
    target: &Target,
    stack: &Stack,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let filter = arguments.which.filter()?;
    let listing = list(&target.calls, stack, &filter, arguments.limit).await?;
    let text = match arguments.each {
        true => each(&listing.entries),
        false => grouped(&listing, OffsetDateTime::from(now()), screen),
    };
    let text = match listing.entries.len() {
        0 if listing.is_whole() => "Nothing waits.".to_owned(),
        all => format!("{text}\n{}", ending(all, &listing)),
    };
    screen.show(&text, &document(&listing))?;
    Ok(match listing.entries.is_empty() && listing.is_whole() {
        true => Exit::Done,
        false => Exit::Left,
    })
}

/// The listing with what is to be done about each entry.
fn document(listing: &Listing) -> Value {
    let mut document = json!(listing);
    let entries = document
        .get_mut("entries")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut);
    for (shown, entry) in entries.zip(&listing.entries) {
        let team = entry.team.as_deref().unwrap_or_default();
        let todo = todo(entry.room, team, entry.is_readable, &entry.message);
        shown.insert("todo".to_owned(), json!(todo));
    }
    document
}

fn ending(all: usize, listing: &Listing) -> String {
    let all = count(u64::try_from(all).unwrap_or(u64::MAX));
    let mut text = format!("{all} in all. Listed without being taken.");
    for room in listing.rooms.iter().filter(|room| !room.is_whole) {
        text += &format!(
            "\nNot all of {} was seen: it has {}, of which some are beyond --limit, or hidden by another command for some seconds.",
            room.room,
            count(room.messages)
        );
    }
    text
}

async fn shown(
    arguments: &Show,
    target: &Target,
    stack: &Stack,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let found = show(&target.calls, stack, &arguments.id, arguments.limit).await?;
    let mut text = Vec::new();
    for one in &found {
        let entry = &one.entry;
        text.push(format!("{}  message {}", entry.room, entry.message));
        let facts = [
            ("team", &entry.team),
            ("account", &entry.account),
            ("event", &entry.event),
            ("type", &entry.event_type),
            ("subject", &entry.subject),
            ("delivery", &entry.delivery),
        ];
        let facts = facts
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        text.extend(facts.map(|(name, value)| format!("  {name:<9} {value}")));
        text.push(format!("  {:<9} {}", "why", entry.why));
        if let Some(sent) = entry.sent {
            text.push(format!("  {:<9} {}", "since", minute(sent)));
        }
        text.push(format!("  {:<9} {}", "message", one.body));
        for (index, part) in &one.parts {
            text.push(format!("  part {index:<4} {part}"));
        }
        if let Some(begins) = &one.delivery_begins {
            text.push(format!("  {:<9} {begins}", "bytes"));
        }
    }
    screen.show(&text.join("\n"), &found)?;
    Ok(Exit::Done)
}

/// What is released or dropped.
struct Asked<'a> {
    what: &'static str,
    which: &'a Which,
    all: bool,
    dry_run: bool,
    yes: bool,
    options: Options,
}

async fn released(
    arguments: &Release,
    yes: bool,
    target: &Target,
    stack: &Stack,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let asked = Asked {
        what: "release",
        which: &arguments.which,
        all: arguments.all,
        dry_run: arguments.dry_run,
        yes,
        options: Options {
            rate: arguments.rate,
            most: arguments.limit.unwrap_or(usize::MAX),
        },
    };
    let options = asked.options;
    let run = async |filter: &Filter, progress: &mut Progress<'_>| {
        release(&target.calls, stack, filter, options, progress).await
    };
    let text = |done: &Done| {
        format!(
            "{} went back to their lanes under their own ids.",
            of_events(done.events)
        )
    };
    carry_out(&asked, target, stack, screen, run, text).await
}

async fn dropped(
    arguments: &Drop,
    yes: bool,
    target: &Target,
    stack: &Stack,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let asked = Asked {
        what: "drop",
        which: &arguments.which,
        all: arguments.all,
        dry_run: arguments.dry_run,
        yes,
        options: Options {
            rate: u32::MAX,
            most: arguments.limit.unwrap_or(usize::MAX),
        },
    };
    let path = arguments.keep.clone().unwrap_or_else(|| {
        let seconds = OffsetDateTime::from(now()).unix_timestamp();
        format!("orderhook-dropped-{seconds}.jsonl").into()
    });
    let options = asked.options;
    let run = async |filter: &Filter, progress: &mut Progress<'_>| {
        let unusable = |error: std::io::Error| Error::Usage(format!("{}: {error}", path.display()));
        let mut file = kept(&path).map_err(unusable)?;
        drop_all(&target.calls, stack, filter, options, &mut file, progress).await
    };
    let text = |done: &Done| {
        format!(
            "{} dropped. What they were is in {}.",
            count(done.messages),
            path.display()
        )
    };
    carry_out(&asked, target, stack, screen, run, text).await
}

/// What is called after every batch.
type Progress<'a> = dyn FnMut(&Done) + Send + 'a;

/// Asks, runs, and says how it ended.
async fn carry_out(
    asked: &Asked<'_>,
    target: &Target,
    stack: &Stack,
    screen: &mut Screen,
    run: impl AsyncFnOnce(&Filter, &mut Progress<'_>) -> Result<Done, Error>,
    text: impl Fn(&Done) -> String,
) -> Result<Exit, Stop> {
    let filter = asked.which.chosen(asked.all)?;
    let Some(found) = ask(asked, &filter, target, stack, screen).await? else {
        return Ok(Exit::Left);
    };
    if found == 0 || asked.dry_run {
        return Ok(Exit::Done);
    }
    let at_most = match asked.options.rate {
        u32::MAX => String::new(),
        rate => format!("  at most {rate}/s"),
    };
    let mut progress = |done: &Done| {
        let line = bar(done.messages, found.max(done.messages));
        screen.progress(&format!("  {line}{at_most}"));
    };
    let done = tokio::select! {
        done = run(&filter, &mut progress) => Some(done),
        _ = tokio::signal::ctrl_c() => None,
    };
    screen.end_progress();
    let Some(done) = done else {
        screen.note("Interrupted. What is hidden is seen again within 30 seconds; the same command goes on.");
        return Ok(Exit::Interrupted);
    };
    let done = done?;
    conclude(&text(&done), &done, screen)
}

/// Opens a file that others on this machine may not read: it will hold what customers ordered.
fn kept(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Says what is meant, and asks. Answers how many messages that are, or nothing where the operator does not agree.
async fn ask(
    asked: &Asked<'_>,
    filter: &Filter,
    target: &Target,
    stack: &Stack,
    screen: &mut Screen,
) -> Result<Option<u64>, Stop> {
    let what = asked.what;
    let listing = list(&target.calls, stack, filter, ASKED_ABOUT).await?;
    let found = u64::try_from(listing.entries.len()).unwrap_or(u64::MAX);
    if found == 0 {
        let text = match listing.is_whole() {
            true => format!("There is nothing to {what}."),
            false => format!(
                "Nothing to {what} is seen; some messages are hidden by another command for some seconds."
            ),
        };
        screen.show(&text, &listing)?;
        return Ok(if listing.is_whole() { Some(0) } else { None });
    }
    if asked.dry_run {
        screen.show(&each(&listing.entries), &listing)?;
        return Ok(Some(found));
    }
    screen.note(&summary(what, &listing));
    let mut question = what.to_owned();
    if let Some(first) = question.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Ok(agrees(&format!("{question}?"), asked.yes, screen)
        .await?
        .then_some(found))
}

/// `would release 306 of undelivered, 2026-11-24 08:01Z … 2026-11-26 09:55Z`, and by type.
fn summary(what: &str, listing: &Listing) -> String {
    let sent = || listing.entries.iter().filter_map(|entry| entry.sent);
    let span = match (sent().min(), sent().max()) {
        (Some(first), Some(last)) => format!(", {} … {}", minute(first), minute(last)),
        _ => String::new(),
    };
    let mut types: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in &listing.entries {
        let name = entry.event_type.as_deref();
        *types.entry(name.unwrap_or(entry.why.as_str())).or_default() += 1;
    }
    let types = types
        .iter()
        .map(|(name, number)| format!("{name} {}", count(*number)));
    let more = match listing.is_whole() {
        true => "",
        false => " or more",
    };
    format!(
        "would {what} {}{more}{span}, the oldest first:\n  {}",
        count(u64::try_from(listing.entries.len()).unwrap_or(u64::MAX)),
        types.collect::<Vec<_>>().join(" · ")
    )
}

fn of_events(events: u64) -> String {
    match events {
        1 => "1 event".to_owned(),
        _ => format!("{} events", count(events)),
    }
}

/// Says how it ended, and what is left.
fn conclude(text: &str, done: &Done, screen: &mut Screen) -> Result<Exit, Stop> {
    let mut text = text.to_owned();
    if !done.left.is_empty() {
        text += &format!("\n{} stay:", of(done.left.len(), "message"));
        for left in &done.left {
            let entry = &left.entry;
            let id = entry.event.as_ref().or(entry.delivery.as_ref());
            let id = id.unwrap_or(&entry.message);
            text += &format!("\n  {}  {id}  {}", entry.room, left.reason);
        }
    }
    if done.hidden > 0 {
        text += &format!(
            "\n{} hidden by another command or a run that was cut off: look again in 30 seconds.",
            count(done.hidden)
        );
    }
    if done.unseen > 0 {
        text += &format!(
            "\n{} were not looked at: the same command goes on with them.",
            count(done.unseen)
        );
    }
    if done.is_cut_off {
        text += "\nMore waits: --limit was reached.";
    }
    screen.show(&text, done)?;
    Ok(match done.is_complete() {
        true => Exit::Done,
        false => Exit::Left,
    })
}

fn each(entries: &[Entry]) -> String {
    let row = |entry: &Entry| {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let id = entry.event.as_ref().or(entry.delivery.as_ref());
        vec![
            entry.sent.map(minute).unwrap_or_default(),
            entry.room.to_string(),
            text(&entry.team),
            text(&entry.account),
            id.unwrap_or(&entry.message).clone(),
            text(&entry.event_type),
            text(&entry.subject),
            entry.why.clone(),
        ]
    };
    let header = [
        "since", "where", "team", "account", "id", "type", "subject", "why",
    ];
    let header = header.map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = [header]
        .into_iter()
        .chain(entries.iter().map(row))
        .collect();
    aligned(&rows)
}

/// Columns side by side, however long a line becomes: ids are to be copied, so that none may be broken.
fn aligned(rows: &[Vec<String>]) -> String {
    let length =
        |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .map(|row| length(row, column))
                .max()
                .unwrap_or_default()
        })
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells = cells.map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A row for each reason, place and team.
fn grouped(listing: &Listing, now: OffsetDateTime, screen: &Screen) -> String {
    let mut groups: BTreeMap<(Room, &str, &str, bool), Vec<&Entry>> = BTreeMap::new();
    for entry in &listing.entries {
        let team = entry.team.as_deref().unwrap_or_default();
        let key = (entry.room, team, entry.why.as_str(), entry.is_readable);
        groups.entry(key).or_default().push(entry);
    }
    let row =
        |((room, team, why, is_readable), entries): (&(Room, &str, &str, bool), &Vec<&Entry>)| {
            let oldest = entries.iter().filter_map(|entry| entry.sent).min();
            let state = listing.rooms.iter().find(|state| state.room == *room);
            let id = entries.first().map(|entry| entry.message.as_str());
            vec![
                room.to_string(),
                (*team).to_owned(),
                count(u64::try_from(entries.len()).unwrap_or(u64::MAX)),
                oldest.map(|oldest| span(now - oldest)).unwrap_or_default(),
                forgotten(state, oldest, now),
                (*why).to_owned(),
                todo(*room, team, *is_readable, id.unwrap_or_default()),
            ]
        };
    let header = [
        "where",
        "team",
        "how many",
        "oldest",
        "forgotten in",
        "why",
        "do",
    ];
    let table = screen.table(&header, groups.iter().map(row).collect());
    match table.split_once('\n') {
        Some((header, rows)) => format!("{}\n{rows}", screen.tone(Tone::Quiet, header)),
        None => table,
    }
}

fn forgotten(
    state: Option<&RoomState>,
    oldest: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> String {
    let kept = state.and_then(|state| i64::try_from(state.kept_seconds?).ok());
    match (kept, oldest) {
        (Some(kept), Some(oldest)) => span(Duration::seconds(kept) - (now - oldest)),
        _ => String::new(),
    }
}

/// What is to be done about what waits.
fn todo(room: Room, team: &str, is_readable: bool, id: &str) -> String {
    match (room, is_readable) {
        (_, false) => {
            format!("it would fail again, so keep it in a file: orderhook stuck drop {id}")
        }
        (Room::Undelivered, true) => {
            format!("correct the queue, then: orderhook stuck release --team {team}")
        }
        (Room::DeadLetters(_), true) => {
            format!("correct the cause, then: orderhook stuck release --in {room}")
        }
        (Room::Quarantine, true) => {
            format!("orderhook stuck show {id}; release it after an upgrade that reads it")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use operate::loopback_stack::LoopbackStack;

    use crate::cli::Cli;

    fn at(text: &str) -> OffsetDateTime {
        calls::instant(text).unwrap()
    }

    fn undelivered(index: u32) -> String {
        let id = "01a1f8d3-ea7b-7101-8101-010101010101";
        let envelope = format!(
            r#"{{"specversion":"1.0","id":"{id}.{index:05}","source":"/orderspace/acme","type":"orderspace.order.created","subject":"order/or_{index}","time":"2026-11-20T12:00:00.123Z","datacontenttype":"application/json","account":"acme","deliveryid":"{id}","data":{{}}}}"#
        );
        format!(
            r#"{{"team":"sales","queue":"q","reason":"QueueDoesNotExist","envelope":{envelope}}}"#
        )
    }

    async fn stack() -> LoopbackStack {
        let routes = r#"[{"team":"sales","queue":"q","types":["*"],"accounts":["*"]}]"#;
        LoopbackStack::with_account(routes).await
    }

    async fn ran(
        stack: &LoopbackStack,
        line: &str,
        json: bool,
    ) -> (Result<Exit, Stop>, String, String) {
        let words = ["orderhook", "stuck"]
            .into_iter()
            .chain(line.split_whitespace());
        let cli = Cli::try_parse_from(words).unwrap();
        let (mut screen, printed) = Screen::of_test(json);
        let target = Target {
            name: "shop".to_owned(),
            calls: stack.calls(),
        };
        let exit = crate::on(&cli, &target, &mut screen).await;
        (exit, printed.out(), printed.err())
    }

    #[tokio::test]
    async fn an_empty_list_is_well() {
        let (exit, out, _) = ran(&stack().await, "list", false).await;
        assert_eq!(
            (exit.unwrap(), out.as_str()),
            (Exit::Done, "Nothing waits.\n")
        );
    }

    #[tokio::test]
    async fn a_list_says_what_is_to_be_done() {
        let stack = stack().await;
        stack.put("undelivered", undelivered(1));
        stack.put("undelivered", undelivered(2));
        stack.put("products-dlq", "no envelope");
        let (exit, out, _) = ran(&stack, "list", false).await;
        assert_eq!(exit.unwrap(), Exit::Left);
        // A table breaks its lines.
        let words = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            out.contains("QueueDoesNotExist") && words.contains("3 in all"),
            "{out}"
        );
        assert!(out.contains("dead-letters/products"), "{out}");
        let (_, out, _) = ran(&stack, "list --each", true).await;
        let listing: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(listing["entries"].as_array().unwrap().len(), 3);
        assert_eq!(listing["entries"][0]["room"], "undelivered");
        let todo = |index: usize| listing["entries"][index]["todo"].as_str().unwrap();
        assert!(todo(0).ends_with(": orderhook stuck release --team sales"));
        let dead = listing["entries"][2]["message"].as_str().unwrap();
        assert!(todo(2).ends_with(&format!(": orderhook stuck drop {dead}")));
    }

    #[tokio::test]
    async fn a_release_asks_first_and_says_which() {
        let stack = stack().await;
        stack.put("undelivered", undelivered(1));
        let (refused, ..) = ran(&stack, "release", false).await;
        assert!(matches!(refused, Err(Stop::Failed(Error::Usage(_)))));
        let (refused, _, err) = ran(&stack, "release --team sales", false).await;
        assert!(
            matches!(refused, Err(Stop::Failed(Error::Usage(_)))),
            "nobody can be asked"
        );
        assert!(err.contains("would release 1"), "{err}");
        let (exit, out, _) = ran(&stack, "release --team sales --dry-run", false).await;
        assert!(
            exit.unwrap() == Exit::Done && out.contains(".00001"),
            "{out}"
        );
        assert!(
            stack.queue("orders").is_empty(),
            "nothing is changed by any of these"
        );
        let (exit, out, _) = ran(&stack, "release --team sales --yes", false).await;
        assert_eq!(exit.unwrap(), Exit::Done);
        assert_eq!(
            out,
            "1 event went back to their lanes under their own ids.\n"
        );
        assert_eq!(stack.queue("orders").len(), 1);
        let (exit, out, _) = ran(&stack, "release --team sales --yes", false).await;
        assert_eq!(
            (exit.unwrap(), out.as_str()),
            (Exit::Done, "There is nothing to release.\n")
        );
    }

    #[tokio::test]
    async fn what_stays_is_named_and_ends_with_1() {
        let stack = stack().await;
        stack.put("orders-dlq", "no envelope");
        let (exit, out, _) = ran(&stack, "release --in dead-letters/orders --yes", false).await;
        assert_eq!(exit.unwrap(), Exit::Left);
        assert!(
            out.contains("1 message stay") && out.contains("no envelope"),
            "{out}"
        );
    }

    #[tokio::test]
    async fn what_is_dropped_is_in_a_file() {
        let stack = stack().await;
        stack.put("undelivered", undelivered(1));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dropped.jsonl");
        let line = format!("drop --team sales --yes --keep {}", path.display());
        let (exit, out, _) = ran(&stack, &line, false).await;
        assert!(
            exit.unwrap() == Exit::Done && out.contains("1 dropped"),
            "{out}"
        );
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(kept.contains("order/or_1"), "{kept}");
        assert!(stack.queue("undelivered").is_empty());
    }

    #[tokio::test]
    async fn one_thing_is_shown() {
        let stack = stack().await;
        stack.put("undelivered", undelivered(1));
        let id = "show 01a1f8d3-ea7b-7101-8101-010101010101.00001";
        let (exit, out, _) = ran(&stack, id, false).await;
        assert!(
            exit.unwrap() == Exit::Done && out.contains("QueueDoesNotExist"),
            "{out}"
        );
        let (missing, ..) = ran(&stack, "show nothing", false).await;
        assert!(matches!(missing, Err(Stop::Failed(Error::NotFound { .. }))));
    }

    #[tokio::test]
    async fn a_room_that_there_is_not_is_a_usage_error() {
        let (refused, ..) = ran(&stack().await, "list --in orders", false).await;
        assert!(matches!(refused, Err(Stop::Failed(Error::Usage(_)))));
        let (refused, ..) = ran(&stack().await, "list --in quarantine --team sales", false).await;
        assert!(matches!(refused, Err(Stop::Failed(Error::Usage(_)))));
    }

    #[test]
    fn what_is_forgotten_when_is_counted_from_the_oldest() {
        let state = RoomState {
            room: Room::Undelivered,
            messages: 1,
            kept_seconds: Some(1_209_600),
            is_whole: true,
        };
        let (oldest, now) = (at("2026-11-20T12:00:00Z"), at("2026-11-22T16:00:00Z"));
        assert_eq!(forgotten(Some(&state), Some(oldest), now), "11 d 20 h");
        assert_eq!(forgotten(None, Some(oldest), now), "");
    }
}
