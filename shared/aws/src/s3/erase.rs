//! All versions of objects, for erasing.

use std::sync::OnceLock;

use domain::erasure::{Cursor, ErasableObjects, Page};
use domain::ports::PortError;

use super::is_permanent;
use super::versions::{self, DeleteVersions, List, ListVersions};
use crate::client::Aws;
use crate::failure::port_error;

/// How many versions are erased with one call: what S3 does well within the time that a call may take. It takes 1,000.
const VERSIONS_AT_ONCE: usize = 250;

const LISTING: &str = "listing versions of objects";
const ERASING: &str = "erasing objects";

/// The objects of one bucket. The calls are prepared with the first page: most runs of the function have nothing to erase.
#[derive(Debug, Clone)]
pub struct S3ErasableObjects {
    aws: Aws,
    calls: OnceLock<(ListVersions, DeleteVersions)>,
    bucket: String,
}

impl S3ErasableObjects {
    /// Erases in this bucket of `aws`.
    #[must_use]
    pub fn of(aws: &Aws, bucket: impl Into<String>) -> Self {
        Self {
            aws: aws.clone(),
            calls: OnceLock::new(),
            bucket: bucket.into(),
        }
    }

    fn calls(&self) -> &(ListVersions, DeleteVersions) {
        self.calls.get_or_init(|| {
            (
                versions::list(&self.aws, &self.bucket),
                versions::delete(&self.aws, &self.bucket),
            )
        })
    }
}

impl ErasableObjects for S3ErasableObjects {
    /// A page's versions are deleted with one call. Markers of deletions go with them.
    async fn erase_objects(
        &self,
        prefix: &str,
        chosen: &(dyn Fn(&str) -> bool + Sync),
        after: Option<&Cursor>,
    ) -> Result<Page, PortError> {
        let (list, delete) = self.calls();
        let place = |after: &Cursor| match &*after.0 {
            [key, version] => Some((key.clone(), version.clone())),
            _ => None,
        };
        let page = list.invoke(List {
            prefix: prefix.to_owned(),
            limit: VERSIONS_AT_ONCE,
            after: after.and_then(place),
        });
        let page = page
            .await
            .map_err(|error| port_error(LISTING, &error, is_permanent))?;
        let mut versions = page.versions;
        versions.retain(|version| version.key.strip_prefix(prefix).is_some_and(chosen));
        let erased = u64::try_from(versions.len()).unwrap_or(u64::MAX);
        if !versions.is_empty() {
            let kept = delete.invoke(versions).await;
            let kept = kept.map_err(|error| port_error(ERASING, &error, is_permanent))?;
            // The call succeeds also where single objects stay.
            if let Some(code) = kept {
                return Err(PortError::transient(ERASING, code));
            }
        }
        // Whether S3 goes on behind a version that was just deleted is documented nowhere, so a page of which something was
        // deleted is listed again.
        let next = page.next.map(|(key, version)| match erased {
            0 => Cursor(vec![key, version]),
            _ => after.cloned().unwrap_or(Cursor(Vec::new())),
        });
        Ok(Page { erased, next })
    }
}

#[cfg(test)]
mod tests {
    use domain::ports::ErrorKind;
    use rstest::rstest;

    use super::super::tests::{Requests, answer, header, s3, xml};
    use super::*;

    const PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
        <ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix>records/a/</Prefix>
        <KeyMarker/><NextKeyMarker>records/a/2&amp;3</NextKeyMarker><NextVersionIdMarker>v.4</NextVersionIdMarker>
        <IsTruncated>true</IsTruncated>
        <Version><Key>records/a/1</Key><VersionId>null</VersionId><Owner><ID>x</ID></Owner></Version>
        <Version><Key>records/a/kept</Key><VersionId>v1</VersionId></Version>
        <DeleteMarker><Key>records/a/2&amp;3</Key><VersionId>v2</VersionId></DeleteMarker>
        </ListVersionsResult>"#;
    const LAST: &str = "<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>";
    const NOTHING_KEPT: &str = "<DeleteResult/>";

    async fn erasing(
        answers: Vec<Vec<u8>>,
        after: Option<&Cursor>,
    ) -> (Result<Page, PortError>, Requests) {
        let (aws, requests) = s3(answers).await;
        let objects = S3ErasableObjects::of(&aws, "bucket");
        let chosen = |rest: &str| rest != "kept";
        let page = objects.erase_objects("records/a/", &chosen, after).await;
        (page, requests)
    }

    #[tokio::test]
    async fn the_chosen_versions_of_a_page_go_with_one_call() {
        let answers = vec![answer(200, PAGE), answer(200, NOTHING_KEPT)];
        let (page, requests) = erasing(answers, None).await;
        let page = page.unwrap();
        let again = Cursor(Vec::new());
        assert_eq!((page.erased, page.next), (2, Some(again)));

        let requests = requests.lock().unwrap();
        let [(listing, nothing), (deleting, document)] = &**requests else {
            panic!("{requests:?}")
        };
        let line = "GET /bucket/?versions&max-keys=250&prefix=records%2Fa%2F HTTP/1.1\r\n";
        assert!(listing.starts_with(line) && nothing.is_empty(), "{listing}");
        let line = "POST /bucket/?delete HTTP/1.1\r\n";
        assert!(deleting.starts_with(line), "{deleting}");
        let expected = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>\
            <Object><Key>records/a/1</Key><VersionId>null</VersionId></Object>\
            <Object><Key>records/a/2&amp;3</Key><VersionId>v2</VersionId></Object></Delete>";
        assert_eq!(std::str::from_utf8(document).unwrap(), expected);
        let checksum = "gyLfBmTABrH4PjEka6C+4p7iwurxFl1zyMw0Ag5PsCo=";
        assert_eq!(header(deleting, "x-amz-checksum-sha256"), Some(checksum));
        assert_eq!(header(deleting, "content-type"), Some("application/xml"));
        let authorization = header(deleting, "authorization").unwrap();
        assert!(
            authorization.contains("x-amz-checksum-sha256;"),
            "{authorization}"
        );
    }

    #[tokio::test]
    async fn a_page_of_which_nothing_went_leads_to_the_next() {
        let kept = PAGE.replace("records/a/1", "records/a/kept");
        let kept = kept.replace("<Key>records/a/2&amp;3<", "<Key>records/a/kept<");
        let (page, _) = erasing(vec![answer(200, kept)], None).await;
        let end = Cursor(vec!["records/a/2&3".to_owned(), "v.4".to_owned()]);
        let page = page.unwrap();
        assert_eq!((page.erased, page.next.as_ref()), (0, Some(&end)));

        let answers = vec![answer(200, PAGE), answer(200, NOTHING_KEPT)];
        let (page, requests) = erasing(answers, Some(&end)).await;
        assert_eq!(page.unwrap().next, Some(end));
        let query = "?versions&key-marker=records%2Fa%2F2%263&max-keys=250&prefix=records%2Fa%2F&version-id-marker=v.4 HTTP";
        let requests = requests.lock().unwrap();
        assert!(requests[0].0.contains(query), "{requests:?}");
    }

    #[tokio::test]
    async fn the_last_page_ends_the_list() {
        let (page, requests) = erasing(vec![answer(200, LAST)], None).await;
        assert_eq!(page.unwrap(), Page::default());
        assert_eq!(requests.lock().unwrap().len(), 1);
    }

    /// Nothing is deleted, or taken for done, by a list that cannot be read whole.
    #[rstest]
    #[case::cut_off(&PAGE[..PAGE.len() - 30])]
    #[case::no_xml("")]
    #[case::another("<ListBucketResult/>")]
    #[case::no_end("<ListVersionsResult/>")]
    #[case::an_unknown_end("<ListVersionsResult><IsTruncated>1</IsTruncated></ListVersionsResult>")]
    #[case::no_next("<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>")]
    #[case::no_next_version(
        "<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker></ListVersionsResult>"
    )]
    #[case::no_id(
        "<ListVersionsResult><IsTruncated>false</IsTruncated><Version><Key>records/a/1</Key></Version></ListVersionsResult>"
    )]
    #[tokio::test]
    async fn a_page_that_cannot_be_read_erases_nothing(#[case] page: &str) {
        let (page, requests) = erasing(vec![answer(200, page)], None).await;
        let error = page.unwrap_err();
        assert_eq!(error, PortError::transient(LISTING, "unreadable"));
        assert_eq!(requests.lock().unwrap().len(), 1);
    }

    #[rstest]
    #[case::one(
        200,
        "<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Error><Key>k</Key><Code>AccessDenied</Code></Error></DeleteResult>",
        "AccessDenied"
    )]
    #[case::without_a_code(200, "<DeleteResult><Error/></DeleteResult>", "unreadable")]
    #[case::no_code(
        200,
        "<DeleteResult><Error><Code>two words</Code></Error></DeleteResult>",
        "unreadable"
    )]
    #[case::unreadable(200, "<DeleteResult>", "unreadable")]
    #[case::after_200(200, "<Error><Code>InternalError</Code></Error>", "InternalError")]
    #[case::all(403, "<Error><Code>AccessDenied</Code></Error>", "AccessDenied")]
    #[tokio::test]
    async fn what_s3_keeps_is_a_transient_error(
        #[case] status: u16,
        #[case] document: &str,
        #[case] code: &str,
    ) {
        let (page, _) = erasing(vec![answer(200, PAGE), answer(status, document)], None).await;
        assert_eq!(page.unwrap_err(), PortError::transient(ERASING, code));
    }

    #[tokio::test]
    async fn a_refused_list_has_the_code_of_s3() {
        let (page, _) = erasing(vec![answer(404, xml("NoSuchBucket"))], None).await;
        let error = page.unwrap_err();
        assert_eq!(
            (&*error.code, error.kind),
            ("NoSuchBucket", ErrorKind::Transient)
        );
    }

    /// Most runs of the function have nothing to erase.
    #[tokio::test]
    async fn calls_are_prepared_with_the_first_page() {
        let (aws, _) = s3(vec![answer(200, LAST)]).await;
        let objects = S3ErasableObjects::of(&aws, "bucket");
        assert!(objects.calls.get().is_none());
        let erased = objects.erase_objects("records/a/", &|_| true, None).await;
        assert!(erased.is_ok() && objects.calls.get().is_some());
    }
}
