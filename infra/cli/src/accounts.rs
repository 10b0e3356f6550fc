//! `orderhook accounts`: connects accounts to their sources, and shows how they are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use domain::source::Source;
use operate::accounts::{
    Account, Accounts as Api, Changes, Erasure, Given, List, Outcome, Wanted, erasure_id, named,
    signing_secret_names, subject,
};
use operate::{Error, Exit, Target};
use serde_json::json;

use crate::Stop;
use crate::prompt::{SecretsFrom, agrees};
use crate::screen::{Screen, Tone};

const EXAMPLES: &str = "\
Examples:
  orderhook accounts list
  orderhook accounts connect acme --client-id 9f2c…                          Orderspace; asks for the secret
  orderhook accounts connect om --source ordermentum --supplier-id 0f0e…     asks for the API key
  orderhook accounts connect shop --source onestock --api-url https://acme.example.com/v2 --site-id c1 --user-id orderhook
  orderhook accounts connect deck --source apideck --app-id app_9f2c
  orderhook accounts connect relay --source stackone && orderhook accounts endpoint relay
  orderhook accounts events acme 'order.created' 'order.updated'
  orderhook accounts erase acme --subject customer/cu_1
  orderhook accounts events shop --proof require                             once its deliveries are proved by a signature
  orderhook accounts events relay --signing-secrets 2                        asks for the old one and the new one
  aws secretsmanager get-secret-value … | orderhook accounts connect acme --client-id 9f2c… --secret-file -";

/// Commands about accounts.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Accounts {
    /// Show all accounts and how they are.
    List,
    /// Show one account: its state, its history, its last delivery.
    Show(Named),
    /// Connect an account to its source, or connect it again with other credentials.
    ///
    /// The secret is asked for without being shown, or read from --secret-file or standard input; it is never an argument. The
    /// same call again changes nothing, and goes on with one that was cut off.
    Connect(Box<Connect>),
    /// Select other events; or change what becomes of unproved deliveries, or a manual account's signing secrets.
    ///
    /// What is not named stays as it is. Signing secrets are asked for without being shown, or read from --secret-file or
    /// standard input.
    #[command(visible_alias = "change")]
    Events(Events),
    /// Compare an account with its source now, and correct what differs.
    Check(Changed),
    /// Have another webhook, with a URL and a key of its own, take over. Nothing is lost on the way.
    Rotate(Changed),
    /// Remove the webhook at the source, and the account's secrets. The history stays.
    Disconnect(Changed),
    /// Delete what is kept of an account, or of one of its records, before it expires by itself.
    ///
    /// Says first what would be deleted and what stays. An account has to be disconnected before.
    Erase(Erase),
    /// Make a URL for a manual account (StackOne), which is shown this once: register it at the source.
    Endpoint(Named),
}

/// An account by its name.
#[derive(Debug, Clone, Args)]
pub struct Named {
    /// The account's name: 1 to 40 characters of a-z, 0-9 and '-'.
    pub account: String,
}

/// An account that is changed.
#[derive(Debug, Clone, Args)]
pub struct Changed {
    /// The account's name.
    pub account: String,
    /// How many seconds to wait where the source or another call asks for patience.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub wait: u64,
}

/// Arguments of `accounts erase`.
#[derive(Debug, Clone, Args)]
pub struct Erase {
    /// The account's name.
    pub account: String,
    /// One record by its subject, such as order/or_1, in place of everything that is kept of the account.
    #[arg(long, value_name = "SUBJECT")]
    pub subject: Option<String>,
    /// Shows how far the erasure with this id is, and erases nothing.
    #[arg(long, value_name = "ID", conflicts_with = "subject")]
    pub show: Option<String>,
}

/// Arguments of `accounts events`.
#[derive(Debug, Clone, Args)]
pub struct Events {
    /// The account and how long to wait.
    #[command(flatten)]
    pub changed: Changed,
    /// Event types by the source's own names, or '*' for all of them.
    #[arg(required_unless_present_any = ["proof", "signing_secrets"], value_name = "TYPE")]
    pub types: Vec<String>,
    /// OneStock: whether deliveries without a signature that fits are refused (require) or taken (observe).
    #[arg(long, value_parser = ["require", "observe"])]
    pub proof: Option<String>,
    /// StackOne: replace the signing secrets; how many are given, two while one replaces the other.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2), value_name = "COUNT")]
    pub signing_secrets: Option<u8>,
    /// The file with the signing secrets, a line each; - is standard input.
    #[arg(long, value_name = "FILE", requires = "signing_secrets")]
    pub secret_file: Option<PathBuf>,
}

/// Arguments of `accounts connect`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct Connect {
    /// The account's name and how long to wait.
    #[command(flatten)]
    pub changed: Changed,
    /// The source.
    #[arg(long, default_value = "orderspace", value_parser = source, value_name = "SOURCE")]
    pub source: Source,
    /// Event types by the source's own names, separated by commas [default: all].
    #[arg(long, value_delimiter = ',', value_name = "TYPES")]
    pub events: Vec<String>,
    /// Orderspace: the client id of the Private Integration.
    #[arg(long)]
    pub client_id: Option<String>,
    /// Ordermentum: the UUID of the supplier.
    #[arg(long)]
    pub supplier_id: Option<String>,
    /// Ordermentum: a user name, for the older way in beside the API key; its password is asked for too.
    #[arg(long)]
    pub username: Option<String>,
    /// OneStock: the address of the site's own API.
    #[arg(long)]
    pub api_url: Option<String>,
    /// OneStock: the site.
    #[arg(long)]
    pub site_id: Option<String>,
    /// OneStock: the user of the site's API.
    #[arg(long)]
    pub user_id: Option<String>,
    /// Apideck: the application.
    #[arg(long)]
    pub app_id: Option<String>,
    /// StackOne: how many signing secrets are given, two while one replaces the other.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2), value_name = "COUNT")]
    pub signing_secrets: u8,
    /// OneStock: whether deliveries without a signature that fits are refused (require) or taken (observe).
    #[arg(long, value_parser = ["require", "observe"])]
    pub proof: Option<String>,
    /// The file with the secret, or with the secrets a line each in the order of the prompts; - is standard input.
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
}

fn source(name: &str) -> Result<Source, String> {
    let known = || Source::ALL.map(Source::as_str).join(", ");
    Source::named(name).ok_or_else(|| format!("the sources are {}", known()))
}

impl Connect {
    fn given(&self) -> Given {
        let fields = [
            ("client_id", &self.client_id),
            ("supplier_id", &self.supplier_id),
            ("username", &self.username),
            ("api_url", &self.api_url),
            ("site_id", &self.site_id),
            ("user_id", &self.user_id),
            ("app_id", &self.app_id),
        ];
        let fields = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.as_ref()?.clone())));
        Given {
            fields: fields.collect::<BTreeMap<_, _>>(),
            events: self.events.clone(),
            proof: self.proof.clone(),
            signing_secrets: usize::from(self.signing_secrets),
        }
    }
}

/// Runs a command about accounts.
///
/// # Errors
/// What the stack or AWS answered, that the operator did not agree, or that nobody reads the output.
pub async fn run(
    command: &Accounts,
    yes: bool,
    target: &Target,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    // Whatever is wrong with the command line comes before the first call.
    let mut changes = Changes::default();
    let wanted = match command {
        Accounts::Events(arguments) => {
            named(&arguments.changed.account)?;
            if let Some(count) = arguments.signing_secrets {
                let from = SecretsFrom::chosen(arguments.secret_file.as_deref(), screen);
                let names = signing_secret_names(usize::from(count));
                changes.signing_secrets = from.read(&names, screen).await?;
            }
            changes.events.clone_from(&arguments.types);
            changes.proof.clone_from(&arguments.proof);
            None
        }
        Accounts::Connect(arguments) => {
            named(&arguments.changed.account)?;
            let wanted = Wanted::of(arguments.source, arguments.given())?;
            let from = SecretsFrom::chosen(arguments.secret_file.as_deref(), screen);
            let secrets = from.read(&wanted.secrets(), screen).await?;
            Some(wanted.with(&secrets)?)
        }
        Accounts::Erase(arguments) => {
            let account = named(&arguments.account)?;
            if let Some(given) = &arguments.subject {
                subject(&account, given)?;
            }
            if let Some(id) = &arguments.show {
                erasure_id(id)?;
            }
            None
        }
        _ => None,
    };
    let stack = target.stack().await?;
    let api = Api::of(&target.calls, &stack)?;
    let patience = |changed: &Changed| Duration::from_secs(changed.wait);
    match command {
        Accounts::List => list(&api.list().await?, screen),
        Accounts::Show(arguments) => {
            let (account, document) = api.show(&named(&arguments.account)?).await?;
            let text = shown(&account, screen);
            screen.show(&text, &document)?;
            Ok(match account.is_well() {
                true => Exit::Done,
                false => Exit::Left,
            })
        }
        Accounts::Connect(arguments) => {
            let Some(wanted) = wanted else {
                return Ok(Exit::Usage);
            };
            let account = named(&arguments.changed.account)?;
            let outcome = api
                .connect(&account, &wanted, patience(&arguments.changed))
                .await?;
            ended(&outcome, screen)
        }
        Accounts::Events(arguments) => {
            let account = named(&arguments.changed.account)?;
            let patience = patience(&arguments.changed);
            ended(&api.change(&account, &changes, patience).await?, screen)
        }
        Accounts::Check(arguments) => {
            let account = named(&arguments.account)?;
            ended(&api.check(&account, patience(arguments)).await?, screen)
        }
        Accounts::Rotate(arguments) => {
            let account = named(&arguments.account)?;
            ended(&api.rotate(&account, patience(arguments)).await?, screen)
        }
        Accounts::Disconnect(arguments) => {
            let account = named(&arguments.account)?;
            let question = format!(
                "Disconnect {account} of stack {}? Its webhook at the source and its secrets are removed.",
                stack.name,
                account = account.as_str()
            );
            if !agrees(&question, yes, screen).await? {
                return Err(Error::Refused("nothing was changed".to_owned()).into());
            }
            ended(
                &api.disconnect(&account, patience(arguments)).await?,
                screen,
            )
        }
        Accounts::Erase(arguments) => erase(&api, arguments, yes, screen).await,
        Accounts::Endpoint(arguments) => {
            let account = named(&arguments.account)?;
            let url = api.endpoint(&account).await?;
            let document = json!({ "account": account.as_str(), "endpoint": url.reveal() });
            screen.show(url.reveal(), &document)?;
            screen.note(
                "The URL is a secret and is not shown again. Register it at the source; then: orderhook accounts check",
            );
            Ok(Exit::Done)
        }
    }
}

/// Erases an account or a record, once the operator has seen what goes and what stays.
async fn erase(
    api: &Api<'_>,
    Erase {
        account,
        subject,
        show,
    }: &Erase,
    yes: bool,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let account = named(account)?;
    if let Some(id) = show {
        let (erasure, document) = api.erasure(&account, id).await?;
        screen.show(&erasing(&erasure), &document)?;
        return Ok(match erasure.is_done() {
            true => Exit::Done,
            false => Exit::Left,
        });
    }
    let subject = subject.as_deref();
    screen.note(&match subject {
        None => format!(
            "would delete everything that is kept of {}: all its records and their objects, its URLs, its history.",
            account.as_str()
        ),
        Some(subject) => format!(
            "would delete {subject} of {}: its record and its objects. If it arrives again, it is kept again.",
            account.as_str()
        ),
    });
    screen.note(
        "Deliveries as they came, messages in queues and what the tables can be restored to stay until they expire; what \
         teams were sent is theirs.",
    );
    let question = format!(
        "Erase {}? It cannot be undone.",
        subject.unwrap_or(account.as_str())
    );
    if !agrees(&question, yes, screen).await? {
        return Err(Error::Refused("nothing was changed".to_owned()).into());
    }
    let (erasure, document) = api.erase(&account, subject).await?;
    screen.show(&erasing(&erasure), &document)?;
    if erasure.is_done() {
        return Ok(Exit::Done);
    }
    screen.note(&format!(
        "The schedule goes on with it. How far it is: orderhook accounts erase {} --show {}",
        erasure.account, erasure.erasure
    ));
    Ok(Exit::Left)
}

/// How far an erasure is, and what it leaves.
fn erasing(erasure: &Erasure) -> String {
    let Erasure {
        account,
        erasure: id,
        state,
        erased,
        remains,
    } = erasure;
    let mut text = format!(
        "{account}: erasure {id} {state}, {} records and {} objects deleted\n  deliveries as they came expire by {}\n",
        erased.records, erased.objects, remains.receipts_until
    );
    if let Some(until) = &remains.large_events_until {
        let _ = writeln!(text, "  earlier large events expire by {until}");
    }
    let _ = write!(
        text,
        "  tables can be restored until {}",
        remains.backups_until
    );
    text
}

fn list(list: &List, screen: &mut Screen) -> Result<Exit, Stop> {
    let rows = list.accounts.iter().map(|account| {
        let matter = account.last_error.as_ref().or(account.suspect.as_ref());
        vec![
            account.account.clone(),
            account.source.clone(),
            account.state.clone(),
            account.events.len().to_string(),
            matter
                .map(|matter| matter.message.clone())
                .unwrap_or_default(),
        ]
    });
    let unreadable = list.unreadable.iter().map(|account| {
        vec![
            account.account.clone(),
            String::new(),
            "unreadable".to_owned(),
            String::new(),
            account.explanation.clone(),
        ]
    });
    let rows: Vec<Vec<String>> = rows.chain(unreadable).collect();
    let text = match rows.is_empty() {
        true => "no account is connected; next: orderhook accounts connect NAME --client-id …"
            .to_owned(),
        false => screen.table(
            &["account", "source", "state", "events", "needs a look"],
            rows,
        ),
    };
    screen.show(&text, list)?;
    let is_well = list.unreadable.is_empty() && list.accounts.iter().all(Account::is_well);
    Ok(if is_well { Exit::Done } else { Exit::Left })
}

fn shown(account: &Account, screen: &Screen) -> String {
    let mut text = format!(
        "{} · {} · {}\n  {}\n\n",
        screen.tone(Tone::Strong, &account.account),
        account.source,
        account.state,
        account.explanation
    );
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:<15}{value}");
        }
    };
    row("events", &account.events.join(", "));
    row("not selected", &account.unselected_events.join(", "));
    row("webhook", account.webhook.as_deref().unwrap_or("none yet"));
    row("proof", &account.proof);
    if let Some(rotation) = &account.rotation {
        row("rotation", &rotation.message);
    }
    if let Some(delivery) = &account.last_delivery {
        let proof = delivery.proof.as_deref().unwrap_or("not noted");
        row(
            "last delivery",
            &format!("{} ({}, proved by {proof})", delivery.at, delivery.id),
        );
    }
    if let Some(failed) = account
        .failed_deliveries
        .as_ref()
        .filter(|failed| failed.count > 0)
    {
        let causes = failed
            .causes
            .iter()
            .map(|(cause, count)| format!("{cause} {count}"));
        let causes: Vec<String> = causes.collect();
        row(
            "failed",
            &format!(
                "{} since the last good one: {}",
                failed.count,
                causes.join(", ")
            ),
        );
    }
    if let Some(error) = &account.last_error {
        row("last error", &format!("{} {}", error.at, error.message));
    }
    if let Some(suspect) = &account.suspect {
        row("suspect", &format!("{} {}", suspect.at, suspect.message));
    }
    if !account.history.is_empty() {
        text.push('\n');
    }
    for happening in &account.history {
        let at = screen.tone(Tone::Quiet, &happening.at);
        let _ = writeln!(text, "  {at}  {}", happening.message);
    }
    text
}

/// What came of a change, and what is next.
fn ended(outcome: &Outcome, screen: &mut Screen) -> Result<Exit, Stop> {
    let account = &outcome.account;
    let name = &account.account;
    let text = format!("{name}: {}, {}", account.state, account.explanation);
    screen.show(&text, &outcome.document)?;
    if let Some(pending) = &outcome.pending {
        screen.note(&format!(
            "Not done yet: {pending}. The schedule goes on with it; orderhook accounts show {name} shows how far it is."
        ));
        return Ok(Exit::Left);
    }
    match account.state.as_str() {
        "waiting" => screen.note(&format!(
            "Next: orderhook accounts endpoint {name} makes the URL to register at the source."
        )),
        "connected" => screen.note(&format!(
            "Next: orderhook accounts show {name} shows its last delivery once one has come."
        )),
        _ => {}
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::Value;

    fn account(change: impl FnOnce(&mut Value)) -> Account {
        let mut account = json!({
            "account": "acme", "source": "orderspace", "state": "connected",
            "explanation": "the webhook is confirmed and its deliveries are taken", "events": ["order.created"],
            "unselected_events": ["order.updated"], "webhook": "wh_1", "rotation": null, "proof": "require",
            "created": "2026-11-20T12:00:00.000Z", "changed": "2026-11-20T12:00:00.000Z", "last_error": null, "suspect": null,
        });
        change(&mut account);
        serde_json::from_value(account).unwrap()
    }

    #[test]
    fn an_account_as_people_read_it() {
        let account = account(|account| {
            account["history"] =
                json!([{ "at": "2026-11-20T12:00:00.000Z", "message": "connected" }]);
            account["last_delivery"] =
                json!({ "id": "01a1", "at": "2026-11-20T12:00:00.123Z", "proof": "signature" });
            account["strikes"] = json!({ "count": 2, "causes": { "budget": 2 }, "latest": [] });
        });
        let (screen, _) = Screen::of_test(false);
        insta::assert_snapshot!(shown(&account, &screen), @r"
        acme · orderspace · connected
          the webhook is confirmed and its deliveries are taken

          events         order.created
          not selected   order.updated
          webhook        wh_1
          proof          require
          last delivery  2026-11-20T12:00:00.123Z (01a1, proved by signature)
          failed         2 since the last good one: budget 2

          2026-11-20T12:00:00.000Z  connected
        ");
        assert!(!account.is_well());
    }

    #[rstest]
    #[case::well(json!({}), true)]
    #[case::error(json!({ "last_error": { "at": "t", "message": "m" } }), false)]
    #[case::silent(json!({ "suspect": { "at": "t", "message": "m" } }), false)]
    fn what_needs_a_look(#[case] change: Value, #[case] is_well: bool) {
        let account = account(|account| {
            account
                .as_object_mut()
                .unwrap()
                .extend(change.as_object().unwrap().clone());
        });
        assert_eq!(account.is_well(), is_well);
    }

    #[test]
    fn a_source_that_does_not_exist_is_answered_with_those_that_do() {
        assert_eq!(source("onestock").unwrap(), Source::OneStock);
        let error = source("shop").unwrap_err();
        assert!(
            Source::ALL
                .iter()
                .all(|known| error.contains(known.as_str())),
            "{error}"
        );
    }
}
