"""The routes that the contract of the LLM API has: what existing clients may call.

Names of parameters are the contract's; only their places count. What the contract recommends
beside its mounted routes stands at the end.
"""

from __future__ import annotations

MOUNTED = [
    route
    for route in """
GET /healthz
GET /readyz
GET /healthcheck
GET /metrics
GET /api/swagger

GET /v1/version
GET /v1/healthz
GET /v1/readyz

POST /auth/guest-login
POST /auth/refresh-token
GET /auth/logout
POST /auth/logout
GET /auth/login
GET /auth/callback
POST /auth/validate
POST /auth/revoke
POST /auth/validate-api-key
POST /auth/upgrade
GET /auth/me
POST /auth/api-keys
GET /auth/api-keys
DELETE /auth/api-keys/{id}

POST /v1/chat/completions

POST /v1/images/generations
POST /v1/images/edits
POST /v1/images/variations

GET /v1/models
GET /v1/models/catalogs/{id}
GET /v1/models/providers

GET /v1/conversations
POST /v1/conversations
DELETE /v1/conversations
GET /v1/conversations/{conv}
POST /v1/conversations/{conv}
DELETE /v1/conversations/{conv}

GET /v1/conversations/{conv}/items
POST /v1/conversations/{conv}/items
GET /v1/conversations/{conv}/items/{msg}
DELETE /v1/conversations/{conv}/items/{msg}
PATCH /v1/conversations/{conv}/items/by-call-id/{call_id}

GET /v1/conversations/{conv}/branches
POST /v1/conversations/{conv}/branches
GET /v1/conversations/{conv}/branches/{name}
DELETE /v1/conversations/{conv}/branches/{name}
POST /v1/conversations/{conv}/branches/{name}/activate
POST /v1/conversations/{conv}/items/{msg}/edit
POST /v1/conversations/{conv}/items/{msg}/regenerate

POST /v1/projects
GET /v1/projects
GET /v1/projects/{proj}
PATCH /v1/projects/{proj}
DELETE /v1/projects/{proj}

GET /v1/users/me/settings
PATCH /v1/users/me/settings
GET /v1/users/me/settings/preferences
PATCH /v1/users/me/settings/preferences

POST /v1/conversations/{conv}/share
GET /v1/conversations/{conv}/shares
DELETE /v1/conversations/{conv}/shares/{shr}
GET /v1/shares
DELETE /v1/shares/{shr}

GET /v1/public/shares/{slug}
HEAD /v1/public/shares/{slug}
GET /v1/prompt-templates/{key}
GET /v1/mcp-tools
GET /v1/mcp-tools/{tool_key}

GET /v1/admin/models/catalogs
GET /v1/admin/models/catalogs/{id}
PATCH /v1/admin/models/catalogs/{id}
POST /v1/admin/models/catalogs/bulk-toggle

GET /v1/admin/models/prompt-templates/list/{model}
POST /v1/admin/models/prompt-templates/assign/{model}
GET /v1/admin/models/prompt-templates/effective/{model}
PATCH /v1/admin/models/prompt-templates/update/{key}/{model}
DELETE /v1/admin/models/prompt-templates/unassign/{key}/{model}

GET /v1/admin/models/provider-models
GET /v1/admin/models/provider-models/{pmdl}
PATCH /v1/admin/models/provider-models/{pmdl}
POST /v1/admin/models/provider-models/bulk-toggle

GET /v1/admin/providers
POST /v1/admin/providers
GET /v1/admin/providers/{prov}
PATCH /v1/admin/providers/{prov}
DELETE /v1/admin/providers/{prov}

GET /v1/admin/users
POST /v1/admin/users
GET /v1/admin/users/{id}
PATCH /v1/admin/users/{id}
DELETE /v1/admin/users/{id}
POST /v1/admin/users/{id}/activate
POST /v1/admin/users/{id}/deactivate
POST /v1/admin/users/{id}/roles/{role}
DELETE /v1/admin/users/{id}/roles/{role}

GET /v1/admin/groups
POST /v1/admin/groups
GET /v1/admin/groups/{id}
PATCH /v1/admin/groups/{id}
DELETE /v1/admin/groups/{id}
GET /v1/admin/groups/{id}/members
POST /v1/admin/users/{id}/groups/{groupId}
DELETE /v1/admin/users/{id}/groups/{groupId}
GET /v1/admin/groups/{id}/feature-flags
PATCH /v1/admin/groups/{id}/feature-flags
POST /v1/admin/groups/{id}/feature-flags/{flagKey}
DELETE /v1/admin/groups/{id}/feature-flags/{flagKey}

GET /v1/admin/feature-flags
POST /v1/admin/feature-flags
PATCH /v1/admin/feature-flags/{id}
DELETE /v1/admin/feature-flags/{id}

GET /v1/admin/prompt-templates
POST /v1/admin/prompt-templates
GET /v1/admin/prompt-templates/{public_id}
PATCH /v1/admin/prompt-templates/{public_id}
DELETE /v1/admin/prompt-templates/{public_id}
POST /v1/admin/prompt-templates/{public_id}/duplicate

GET /v1/admin/mcp-tools
GET /v1/admin/mcp-tools/{public_id}
PATCH /v1/admin/mcp-tools/{public_id}
""".splitlines()
    if route
]
"""The routes that the contract counts, a paragraph a noun."""

RECOMMENDED = [
    "GET /v1/usage/me",
    "GET /v1/usage/me/daily",
    "GET /v1/usage/projects/{id}",
    "GET /v1/admin/usage",
    "GET /v1/admin/models/catalog-prompt-templates/{model}",
    "POST /v1/admin/models/catalog-prompt-templates/{model}",
    "GET /v1/admin/models/catalog-prompt-templates/{model}/effective",
    "PATCH /v1/admin/models/catalog-prompt-templates/{model}/{key}",
    "DELETE /v1/admin/models/catalog-prompt-templates/{model}/{key}",
]
"""What the contract specifies without mounting it, or recommends."""
