//! The subscriptions function on Lambda: wiring.

use aws::client::{Access, Aws, Warm as _};
use aws::dynamo::{accounts::DynamoAccounts, receipts::read::DynamoDeliveries};
use aws::sns::QueuesAndTopics;
use aws::{secrets::write::AccountSecrets, sqs::SqsQueues};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use runtime::{clock, config::Variables, telemetry};
use serde_json::Value;
use subscriptions::{Subscriptions, account_events::TeamQueues, config::Config, event::dispatch};
use subscriptions::{health::Health, schedule::Schedule};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let variables = Variables::from_process();
    telemetry::init(variables.parsed("LOG_LEVEL")?);
    let config = Config::read(&variables)?;
    let aws = Aws::new(Access::from_env()?)?;
    let (dynamo, vault, queues) = (aws.dynamo(), aws.secrets(), SqsQueues::new(aws.sqs()));
    let accounts = DynamoAccounts::new(dynamo.clone(), &config.accounts_table);
    let deliveries = DynamoDeliveries::new(dynamo.clone(), &config.receipts_table);
    let (oauth, signing) = (&config.oauth_prefix, &config.signing_prefix);
    let secrets = AccountSecrets::new(vault.clone(), oauth, signing, config.recovery_days);
    let apis = sources::apis(config.source_urls);
    let health = &Health::new(&deliveries, &config.settings);
    let schedule = &Schedule::new(&accounts, health, &queues, config.check_queue);
    let places = QueuesAndTopics::of(&aws, queues.clone(), config.routes.has_topics());
    let teams = &TeamQueues::new(&places, config.routes);
    let settings = config.settings;
    let subscriptions = &Subscriptions::new(&accounts, &secrets, &apis, health, teams, settings);
    tokio::join!(dynamo.warm(), vault.warm());
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let answer = dispatch(subscriptions, schedule, event.payload, clock::now()).await;
        answer.map_err(Error::from)
    }))
    .await
    .map_err(anyhow::Error::from_boxed)
}
