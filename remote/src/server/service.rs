//! The services of the contract, as tonic wants them: each method hands its message on.

use std::sync::Arc;

use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status, Streaming};

use super::Server;
use super::call::Call;
use super::queue::Queued;
use super::route::Context;
use crate::proto;
use crate::proto::admin_service_server::AdminService;
use crate::proto::approval_service_server::ApprovalService;
use crate::proto::audit_service_server::AuditService;
use crate::proto::crypto_service_server::CryptoService;
use crate::proto::key_service_server::KeyService;
use crate::proto::lifecycle_service_server::LifecycleService;
use crate::proto::random_service_server::RandomService;
use crate::status::{self, Circumstances};

/// Every service.
#[derive(Clone)]
pub(super) struct Services(pub(super) Arc<Server>);

type Answer<T> = Result<Response<T>, Status>;
type Outgoing<T> = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

impl Services {
    async fn unary<C: Call>(&self, request: Request<C>) -> Answer<C::Answer> {
        let (context, call) = taken(request)?;
        let known = circumstances(call.request_id());
        let answer = self.0.answer(&context, call).await;
        let answer = answer.and_then(|answer| self.0.counted(&context, answer));
        answer.map(Response::new).map_err(|e| status::status(&e, &known))
    }
}

/// What a request has beside its message.
pub(super) fn taken<T>(mut request: Request<T>) -> Result<(Context, T), Status> {
    let context = request.extensions_mut().remove::<Context>();
    let context = context.ok_or_else(|| Status::internal("the request came in on no connection"))?;
    Ok((context, request.into_inner()))
}

fn circumstances(id: &[u8]) -> Circumstances {
    Circumstances { request_id: id.get(..16).unwrap_or_default().to_vec(), ..Circumstances::default() }
}

fn plain(error: &libkmss::error::Error) -> Status {
    status::status(error, &Circumstances::default())
}

/// What is fetched from a channel, as a stream.
fn streamed<T: Send + 'static>(parts: libkmss::error::Result<Queued<T>>) -> Answer<Outgoing<T>> {
    let parts = parts.map_err(|e| plain(&e))?;
    Ok(Response::new(Box::pin(parts.map(|part| part.map_err(|e| plain(&e))))))
}

/// A service whose methods are all answered by one message.
macro_rules! service {
    ($service:ident { $($method:ident: $request:ident => $response:ident,)+ } $($more:tt)*) => {
        #[tonic::async_trait]
        impl $service for Services {
            $(async fn $method(&self, request: Request<proto::$request>) -> Answer<proto::$response> {
                self.unary(request).await
            })+
            $($more)*
        }
    };
}

service!(KeyService {
    list_namespaces: ListNamespacesRequest => ListNamespacesResponse,
    get_object: GetObjectRequest => GetObjectResponse,
    list_objects: ListObjectsRequest => ListObjectsResponse,
    generate_key: GenerateKeyRequest => GenerateKeyResponse,
    generate_keys: GenerateKeysRequest => GenerateKeysResponse,
    generate_key_pair: GenerateKeyPairRequest => GenerateKeyPairResponse,
    make_key: MakeKeyRequest => MakeKeyResponse,
    import_key: ImportKeyRequest => ImportKeyResponse,
    import_document: ImportDocumentRequest => ImportDocumentResponse,
    export_key: ExportKeyRequest => ExportKeyResponse,
    update_object: UpdateObjectRequest => UpdateObjectResponse,
    rename_key: RenameKeyRequest => RenameKeyResponse,
    copy_object: CopyObjectRequest => CopyObjectResponse,
    destroy_object: DestroyObjectRequest => DestroyObjectResponse,
}
    async fn list_changes(
        &self,
        request: Request<proto::ListChangesRequest>,
    ) -> Answer<proto::ListChangesResponse> {
        let (context, call) = taken(request)?;
        let changes = self.0.changes(&context, call).await;
        let changes = changes.and_then(|changes| self.0.counted(&context, changes));
        changes.map(Response::new).map_err(|e| plain(&e))
    }
);

service!(RandomService {
    generate_random: GenerateRandomRequest => GenerateRandomResponse,
});

service!(ApprovalService {
    list_approvals: ListApprovalsRequest => ListApprovalsResponse,
    approve: ApproveRequest => ApproveResponse,
});

service!(LifecycleService {
    change_key_life: ChangeKeyLifeRequest => ChangeKeyLifeResponse,
    destroy_due_keys: DestroyDueKeysRequest => DestroyDueKeysResponse,
    list_tombstones: ListTombstonesRequest => ListTombstonesResponse,
    release_key_name: ReleaseKeyNameRequest => ReleaseKeyNameResponse,
    rotate_key: RotateKeyRequest => RotateKeyResponse,
    activate_key: ActivateKeyRequest => ActivateKeyResponse,
    list_versions: ListVersionsRequest => ListVersionsResponse,
    set_alias: SetAliasRequest => SetAliasResponse,
    grant_key: GrantKeyRequest => GrantKeyResponse,
    rotate_due_keys: RotateDueKeysRequest => RotateDueKeysResponse,
});

service!(AdminService {
    get_server_info: GetServerInfoRequest => GetServerInfoResponse,
    list_all_namespaces: ListAllNamespacesRequest => ListAllNamespacesResponse,
    create_namespace: CreateNamespaceRequest => CreateNamespaceResponse,
    remove_namespace: RemoveNamespaceRequest => RemoveNamespaceResponse,
    change_namespace: ChangeNamespaceRequest => ChangeNamespaceResponse,
    list_policies: ListPoliciesRequest => ListPoliciesResponse,
    apply_policy: ApplyPolicyRequest => ApplyPolicyResponse,
    remove_policy: RemovePolicyRequest => RemovePolicyResponse,
    get_policy: GetPolicyRequest => GetPolicyResponse,
    list_publishers: ListPublishersRequest => ListPublishersResponse,
    add_publisher: AddPublisherRequest => AddPublisherResponse,
    remove_publisher: RemovePublisherRequest => RemovePublisherResponse,
    list_quotas: ListQuotasRequest => ListQuotasResponse,
    set_quota: SetQuotaRequest => SetQuotaResponse,
    remove_quota: RemoveQuotaRequest => RemoveQuotaResponse,
    list_key_rules: ListKeyRulesRequest => ListKeyRulesResponse,
    set_key_rule: SetKeyRuleRequest => SetKeyRuleResponse,
    remove_key_rule: RemoveKeyRuleRequest => RemoveKeyRuleResponse,
    list_blocks: ListBlocksRequest => ListBlocksResponse,
    create_block: CreateBlockRequest => CreateBlockResponse,
    release_block: ReleaseBlockRequest => ReleaseBlockResponse,
    change_key_state: ChangeKeyStateRequest => ChangeKeyStateResponse,
    set_key_tags: SetKeyTagsRequest => SetKeyTagsResponse,
    set_key_audit: SetKeyAuditRequest => SetKeyAuditResponse,
    list_domains: ListDomainsRequest => ListDomainsResponse,
    rotate_domain: RotateDomainRequest => RotateDomainResponse,
    get_seal_status: GetSealStatusRequest => GetSealStatusResponse,
}
    type ReplayPolicyStream = Outgoing<proto::ReplayPolicyResponse>;

    async fn replay_policy(
        &self,
        request: Request<proto::ReplayPolicyRequest>,
    ) -> Answer<Self::ReplayPolicyStream> {
        let (context, message) = taken(request)?;
        streamed(self.0.replay_policy(&context, message).await)
    }

    type RewrapDomainStream = Outgoing<proto::RewrapDomainResponse>;

    async fn rewrap_domain(
        &self,
        request: Request<proto::RewrapDomainRequest>,
    ) -> Answer<Self::RewrapDomainStream> {
        let (context, message) = taken(request)?;
        streamed(self.0.rewrap_domain(&context, message).await)
    }
);

service!(AuditService {
    query_audit: QueryAuditRequest => QueryAuditResponse,
    prove_audit: ProveAuditRequest => ProveAuditResponse,
    get_audit_keys: GetAuditKeysRequest => GetAuditKeysResponse,
    get_audit_checkpoint: GetAuditCheckpointRequest => GetAuditCheckpointResponse,
}
    type ExplainRecordStream = Outgoing<proto::ExplainRecordResponse>;

    async fn explain_record(
        &self,
        request: Request<proto::ExplainRecordRequest>,
    ) -> Answer<Self::ExplainRecordStream> {
        let (context, message) = taken(request)?;
        streamed(self.0.explain_record(&context, message).await)
    }

    type MakeReportStream = Outgoing<proto::MakeReportResponse>;

    async fn make_report(&self, request: Request<proto::MakeReportRequest>) -> Answer<Self::MakeReportStream> {
        let (context, message) = taken(request)?;
        streamed(self.0.make_report(&context, message).await)
    }

    type ReadAuditStream = Outgoing<proto::ReadAuditResponse>;

    async fn read_audit(&self, request: Request<proto::ReadAuditRequest>) -> Answer<Self::ReadAuditStream> {
        let (context, message) = taken(request)?;
        streamed(self.0.read_audit(&context, message).await)
    }

    type VerifyAuditStream = Outgoing<proto::VerifyAuditResponse>;

    async fn verify_audit(
        &self,
        request: Request<proto::VerifyAuditRequest>,
    ) -> Answer<Self::VerifyAuditStream> {
        let (context, message) = taken(request)?;
        streamed(self.0.verify_audit(&context, message).await)
    }

    type FollowAuditStream = Outgoing<proto::FollowAuditResponse>;

    async fn follow_audit(
        &self,
        request: Request<proto::FollowAuditRequest>,
    ) -> Answer<Self::FollowAuditStream> {
        let (context, message) = taken(request)?;
        streamed(self.0.follow_audit(&context, message).await)
    }
);

service!(CryptoService {
    sign: SignRequest => SignResponse,
    verify: VerifyRequest => VerifyResponse,
    recover: RecoverRequest => RecoverResponse,
    encrypt: EncryptRequest => EncryptResponse,
    decrypt: DecryptRequest => DecryptResponse,
    wrap: WrapRequest => WrapResponse,
    unwrap: UnwrapRequest => UnwrapResponse,
    derive: DeriveRequest => DeriveResponse,
    derive_data: DeriveDataRequest => DeriveDataResponse,
    derive_child: DeriveChildRequest => DeriveChildResponse,
    encapsulate: EncapsulateRequest => EncapsulateResponse,
    decapsulate: DecapsulateRequest => DecapsulateResponse,
    tokenize: TokenizeRequest => TokenizeResponse,
    detokenize: DetokenizeRequest => DetokenizeResponse,
    make_user_key: MakeUserKeyRequest => MakeUserKeyResponse,
    encrypt_compat: EncryptCompatRequest => EncryptCompatResponse,
    decrypt_compat: DecryptCompatRequest => DecryptCompatResponse,
    mac_compat: MacCompatRequest => MacCompatResponse,
    encrypt_message: EncryptMessageRequest => EncryptMessageResponse,
    decrypt_message: DecryptMessageRequest => DecryptMessageResponse,
    reencrypt_message: ReencryptMessageRequest => ReencryptMessageResponse,
    generate_data_key: GenerateDataKeyRequest => GenerateDataKeyResponse,
    generate_data_key_pair: GenerateDataKeyPairRequest => GenerateDataKeyPairResponse,
    sign_jws: SignJwsRequest => SignJwsResponse,
    verify_jws: VerifyJwsRequest => VerifyJwsResponse,
    get_jwks: GetJwksRequest => GetJwksResponse,
}
    async fn batch(&self, request: Request<proto::BatchRequest>) -> Answer<proto::BatchResponse> {
        let (context, message) = taken(request)?;
        let results = self.0.batch(&context, message).await;
        let results = results.and_then(|results| self.0.counted(&context, results));
        results.map(Response::new).map_err(|e| plain(&e))
    }

    async fn sign_stream(
        &self,
        request: Request<Streaming<proto::SignStreamRequest>>,
    ) -> Answer<proto::SignStreamResponse> {
        let (context, stream) = taken(request)?;
        let told = self.0.told("SignStream", &context);
        let signed = self.0.sign_stream(&context.connection, stream).await;
        let signed = signed.and_then(|signed| self.0.counted(&context, signed));
        told.end(&signed);
        signed.map(Response::new).map_err(|e| plain(&e))
    }

    async fn verify_stream(
        &self,
        request: Request<Streaming<proto::VerifyStreamRequest>>,
    ) -> Answer<proto::VerifyStreamResponse> {
        let (context, stream) = taken(request)?;
        let told = self.0.told("VerifyStream", &context);
        let verified = self.0.verify_stream(&context.connection, stream).await;
        told.end(&verified);
        verified.map(Response::new).map_err(|e| plain(&e))
    }

    type EncryptStreamStream = Outgoing<proto::EncryptStreamResponse>;

    async fn encrypt_stream(
        &self,
        request: Request<Streaming<proto::EncryptStreamRequest>>,
    ) -> Answer<Self::EncryptStreamStream> {
        let (context, stream) = taken(request)?;
        let results = self.0.cipher_stream(&context, stream, true);
        let results = results
            .map(|part| part.map(|data| proto::EncryptStreamResponse { data }).map_err(|e| plain(&e)));
        Ok(Response::new(Box::pin(results)))
    }

    type DecryptStreamStream = Outgoing<proto::DecryptStreamResponse>;

    async fn decrypt_stream(
        &self,
        request: Request<Streaming<proto::DecryptStreamRequest>>,
    ) -> Answer<Self::DecryptStreamStream> {
        let (context, stream) = taken(request)?;
        let results = self.0.cipher_stream(&context, stream, false);
        let results = results
            .map(|part| part.map(|data| proto::DecryptStreamResponse { data }).map_err(|e| plain(&e)));
        Ok(Response::new(Box::pin(results)))
    }
);
