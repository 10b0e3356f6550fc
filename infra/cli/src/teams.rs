//! `orderhook teams`: routes, and whether the teams' queues can be reached.

use calls::sqs::name_of;
use clap::{Args, Subcommand};
use operate::teams::{self, Checked, LastHour, Reach, Route};
use operate::{Exit, Target};
use serde_json::json;

use crate::Stop;
use crate::screen::Screen;
use crate::words::count;

/// Commands about teams.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = "Examples:\n  orderhook teams list\n  orderhook teams check --deep")]
pub enum Teams {
    /// Show which team gets what.
    List,
    /// Look whether each team's queue is there and can be sent to.
    Check(Check),
}

/// Arguments of `teams check`.
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// Ask IAM too whether the consumer's role may send to each queue.
    #[arg(long)]
    pub deep: bool,
}

/// Runs a command about teams.
///
/// # Errors
/// What the stack or AWS answered, or that nobody reads the output.
pub async fn run(command: &Teams, target: &Target, screen: &mut Screen) -> Result<Exit, Stop> {
    let stack = target.stack().await?;
    let routes = teams::routes(&target.calls, &stack).await?;
    match command {
        Teams::List => {
            let text = listed(&routes, screen);
            screen.show(&text, &routes)?;
            Ok(Exit::Done)
        }
        Teams::Check(arguments) => {
            let checked = teams::check(&target.calls, &stack, &routes, arguments.deep).await?;
            let now = time::OffsetDateTime::from(calls::now());
            // Worth having, and no reason to leave the rest out.
            let hour = teams::last_hour(&target.calls, &stack, now).await.ok();
            let todo = |team: &Checked| team.todo(&target.calls, &stack).join(", then: ");
            let text = checked_text(&checked, todo, hour.as_ref(), screen);
            screen.show(&text, &json!({ "teams": checked, "last_hour": hour }))?;
            Ok(match checked.iter().any(Checked::is_wrong) {
                true => Exit::Left,
                false => Exit::Done,
            })
        }
    }
}

fn listed(routes: &[Route], screen: &Screen) -> String {
    if routes.is_empty() {
        return "no route: events are kept as records and go to nobody".to_owned();
    }
    let rows = routes.iter().map(|route| {
        let sources = route
            .sources
            .as_ref()
            .map_or_else(|| "*".to_owned(), |list| list.join(", "));
        vec![
            route.team.clone(),
            route.types.join(", "),
            route.accounts.join(", "),
            sources,
            route.format.clone().unwrap_or_else(|| "native".to_owned()),
            name_of(&route.queue).to_owned(),
        ]
    });
    let header = ["team", "types", "accounts", "sources", "format", "queue"];
    screen.table(&header, rows.collect())
}

fn checked_text(
    checked: &[Checked],
    todo: impl Fn(&Checked) -> String,
    hour: Option<&LastHour>,
    screen: &Screen,
) -> String {
    let row = |team: &Checked| {
        vec![
            team.team.clone(),
            name_of(&team.url).to_owned(),
            words(team),
            traffic(&team.team, hour),
            todo(team),
        ]
    };
    let rows = checked.iter().map(row).collect();
    screen.table(&["team", "queue", "found", "last hour", "do"], rows)
}

/// `412 events, 95% within 1.3 s, 3 set aside`.
fn traffic(team: &str, hour: Option<&LastHour>) -> String {
    let Some(hour) = hour else {
        return "not seen".to_owned();
    };
    let traffic = hour.teams.get(team).cloned().unwrap_or_default();
    let at_least = if hour.is_complete { "" } else { "at least " };
    let mut text = format!("{at_least}{} events", count(traffic.accepted));
    if let Some(p95) = traffic.p95_ms {
        text = format!("{text}, 95% within {}.{} s", p95 / 1000, p95 % 1000 / 100);
    }
    if traffic.set_aside > 0 {
        text = format!("{text}, {} set aside", count(traffic.set_aside));
    }
    text
}

fn words(team: &Checked) -> String {
    match &team.reach {
        Reach::Reachable {
            sendable: Some(false),
            ..
        } => "the consumer's role may not send".to_owned(),
        Reach::Reachable { waiting, .. } => format!("there, {} waiting", count(*waiting)),
        Reach::Topic {
            sendable: Some(false),
            ..
        } => "the consumer's role may not publish".to_owned(),
        Reach::Topic { subscriptions, .. } => format!("there, {subscriptions} subscribed"),
        Reach::Missing => "does not exist".to_owned(),
        Reach::Hidden { .. } => "cannot be looked at".to_owned(),
        Reach::Unclear { reason } => reason.clone(),
    }
}
