"""Characters that PostgreSQL cannot keep, where clients choose the text: 400, never a failure."""

from __future__ import annotations

import httpx
import pytest

from tests.services.llm_api.administrators import new_admin


@pytest.mark.parametrize("character", ["%00", "%0A", "%7F"])
@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/{}",
        "/v1/models/catalogs/{}",
        "/v1/models/catalogs/a/b{}",
        "/llm/v1/conversations/{}",
        "/v1/conversations/conv_a/branches/{}",
        "/v1/admin/providers/{}",
        "/v1/admin/models/catalogs/{}",
        "/v1/admin/models/provider-models/{}",
        "/v1/admin/users/{}",
        "/v1/admin/groups/{}",
        "/v1/prompt-templates/{}",
        "/v1/public/shares/{}",
    ],
)
async def test_a_path_with_control_characters_is_refused(
    llm_api: httpx.AsyncClient, path: str, character: str
) -> None:
    answer = await new_admin(llm_api).get(path.format(character))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_path"), answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/v1/conversations?after=%00",
        "/v1/conversations?referrer=%00",
        "/v1/conversations?project_id=%00",
        "/v1/conversations?cursor=%00",
        "/v1/projects?after=%00",
        "/v1/admin/providers?search=%00",
        "/v1/admin/providers?kind=%00",
        "/v1/admin/models/catalogs?family=%00",
        "/v1/admin/models/provider-models?search=%00",
        "/v1/admin/models/provider-models?model_key=%00",
        "/v1/admin/models/provider-models?provider_id=%00",
        "/v1/admin/audit-logs?action=%00",
        "/v1/admin/users?search=%00",
        "/v1/admin/api-keys?owner=%00",
        "/v1/admin/prompt-templates?search=%00",
        "/v1/admin/mcp-tools?search=%00",
        "/auth/login?redirect_url=%00",
        "/auth/callback?code=%00&state=%00",
        "/v1/admin/usage/platform?model=%00",
    ],
)
async def test_a_query_with_a_null_is_no_failure(llm_api: httpx.AsyncClient, path: str) -> None:
    answer = await new_admin(llm_api).get(path)
    assert answer.status_code < 500, answer.text
