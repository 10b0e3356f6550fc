//! The consumer function on Lambda: wiring.

use aws::client::{Access, Aws, Warm as _};
use aws::dynamo::{Dictionary, records::DynamoRecords};
use aws::s3::S3Oversize;
use aws::{sns::QueuesAndTopics, sqs::SqsQueues};
use aws_lambda_events::sqs::SqsEvent;
use consumer::Consumer;
use consumer::config::Config;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use runtime::config::Variables;
use runtime::{deadline, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables = Variables::from_process();
    telemetry::init(variables.parsed("LOG_LEVEL")?);
    let aws = Aws::new(Access::from_env()?)?;
    let (dynamo, sqs) = (aws.dynamo(), aws.sqs());
    let oversize = S3Oversize::of(&aws, variables.text("OVERSIZE_BUCKET")?);
    let records = DynamoRecords::new(
        dynamo.clone(),
        variables.text("RECORDS_TABLE")?,
        oversize.clone(),
        variables.parsed("RECORD_FORMAT")?,
    )
    .with_dictionary(variables.parsed_or("COMPRESSION_DICTIONARY", Dictionary::None)?);
    let lanes = SqsQueues::new(sqs.clone());
    let config = Config::read(&variables)?;
    config.report_problems(variables.text("AWS_REGION")?);
    let queues = QueuesAndTopics::of(&aws, lanes.clone(), config.routes.has_topics());
    let consumer = &Consumer::new(&records, &queues, &oversize, &lanes, config);
    tokio::join!(dynamo.warm(), sqs.warm());
    run(service_fn(|event: LambdaEvent<SqsEvent>| async move {
        let deadline = deadline::of_invocation(event.context.deadline());
        Ok::<_, Error>(consumer.handle(&event.payload, deadline).await)
    }))
    .await
}
