"""The Response API: OpenAI's Responses, with tools that run here."""
