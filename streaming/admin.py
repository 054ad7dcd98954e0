"""API tokens in Django's admin: create, list, revoke."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from streaming.access.tokens import token_issue, token_revoke
from streaming.models import ApiToken

if TYPE_CHECKING:
    TokenAdminBase = admin.ModelAdmin[ApiToken]
else:
    TokenAdminBase = admin.ModelAdmin


_ASKED = ("name", "user", "scope", "expires_at")


@admin.register(ApiToken)
class ApiTokenAdmin(TokenAdminBase):
    """Every token; its secret is shown once, when it is made."""

    list_display = (
        *("name", "prefix", "user", "scope", "standing"),
        *("created_at", "expires_at", "last_used_at"),
    )
    list_filter = ("scope", "user")
    search_fields = ("name", "prefix", "user__username")
    readonly_fields = ("prefix", "created_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:  # noqa: ARG002
        """What a token is made of; once made, its whole life."""
        return _ASKED if obj is None else (*_ASKED, *self.readonly_fields)

    def has_change_permission(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: ApiToken | None = None,  # noqa: ARG002
    ) -> bool:
        """A token is revoked and made anew, so that what it was stays readable."""
        return False

    def has_delete_permission(
        self,
        request: HttpRequest,
        obj: ApiToken | None = None,  # noqa: ARG002
    ) -> bool:
        """One by one they stay as a record; they go with their user alone."""
        match = request.resolver_match
        return match is None or not str(match.url_name).startswith("streaming_apitoken")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        """One's own; a superuser sees everybody's."""
        rows = super().get_queryset(request).select_related("user")
        return rows if _sees_all(request) else rows.filter(user=request.user.pk)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Nobody but a superuser makes a key to somebody else's account."""
        field: Any = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "user" and not _sees_all(request):
            field.queryset = field.queryset.filter(pk=request.user.pk)
        return field

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may make tokens may revoke them."""
        return bool(request.user.has_perm("streaming.change_apitoken"))

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """Make the secret and show it this once."""
        text = token_issue(obj)
        super().save_model(request, obj, form, change)
        self.message_user(
            request,
            f"The token of {obj.name!r}, shown only now: {text}",
            messages.WARNING,
        )

    @admin.action(description="Revoke selected tokens", permissions=["operate"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """End them; their connections are closed within seconds."""
        ended = 0
        for token in queryset.filter(revoked_at=None):
            token_revoke(token)
            ended += 1
        self.message_user(request, f"{ended} tokens are revoked.", messages.SUCCESS)

    @admin.display(description="standing")
    def standing(self, token: ApiToken) -> str:
        """Whether it opens anything."""
        return token.standing


def _sees_all(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
