//! The erasure function on Lambda: wiring.

use aws::client::{Access, Aws, Warm as _};
use aws::dynamo::accounts::DynamoAccounts;
use aws::dynamo::records::erase::DynamoErasableRecords;
use aws::s3::erase::S3ErasableObjects;
use erasure::Eraser;
use erasure::config::Config;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use runtime::config::Variables;
use runtime::{clock, deadline, telemetry};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables = Variables::from_process();
    telemetry::init(variables.parsed("LOG_LEVEL")?);
    let config = Config::read(&variables)?;
    let aws = Aws::new(Access::from_env()?)?;
    let dynamo = aws.dynamo();
    let accounts = DynamoAccounts::new(dynamo.clone(), &config.accounts_table);
    let records = DynamoErasableRecords::new(dynamo.clone(), &config.records_table);
    let objects = S3ErasableObjects::of(&aws, &config.oversize_bucket);
    let eraser = &Eraser::new(&accounts, &records, &objects, config.stack);
    dynamo.warm().await;
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let deadline = deadline::of_invocation(event.context.deadline());
        let answer = eraser.handle(&event.payload, clock::now(), deadline).await;
        answer.map_err(Error::from)
    }))
    .await
}
