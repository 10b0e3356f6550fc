//! The subscriptions function on Lambda: wiring.

use adapters::aws::{Access, Aws, Warm as _};
use adapters::dynamo::accounts::{DynamoAccounts, DynamoDeliveries};
use adapters::secrets::write::AccountSecrets;
use adapters::sqs::SqsQueues;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use runtime::{clock, config::Variables, telemetry};
use serde_json::Value;
use subscriptions::{Settings, Subscriptions, config::Config, event::dispatch};
use subscriptions::{health::Health, schedule::Schedule};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let variables = Variables::from_process();
    telemetry::init(variables.parsed("LOG_LEVEL")?);
    let config = Config::read(&variables)?;
    let aws = Aws::new(Access::from_env()?)?;
    let (dynamo, secrets_manager) = (aws.dynamo(), aws.secrets());
    let queues = SqsQueues::new(aws.sqs());
    let accounts = DynamoAccounts::new(dynamo.clone(), &config.accounts_table);
    let deliveries = DynamoDeliveries::new(dynamo.clone(), &config.receipts_table);
    let secrets = AccountSecrets::new(
        secrets_manager.clone(),
        &config.oauth_prefix,
        &config.signing_prefix,
        config.recovery_days,
    );
    let apis = adapters::apis(config.orderspace)?;
    let mut settings = Settings::new(config.hooks);
    settings.strikes_alarm = config.strikes_alarm;
    settings.rotation_hours = config.rotation_hours;
    settings.grace_hours = config.grace_hours;
    settings.stack = config.stack;
    let health = &Health::new(&deliveries, &settings);
    let schedule = &Schedule::new(&accounts, health, &queues, config.check_queue);
    let subscriptions = &Subscriptions::new(&accounts, &secrets, &apis, health, settings);
    tokio::join!(dynamo.warm(), secrets_manager.warm());
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let answer = dispatch(subscriptions, schedule, event.payload, clock::now()).await;
        answer.map_err(Error::from)
    }))
    .await
    .map_err(anyhow::Error::from_boxed)
}
