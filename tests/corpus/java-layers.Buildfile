FROM eclipse-temurin:17-jre AS extract
ADD target/app.jar app.jar
RUN java -Djarmode=layertools -jar app.jar extract
FROM eclipse-temurin:17-jre
COPY --from=extract dependencies/ ./
COPY --from=extract spring-boot-loader/ snapshot-dependencies/ ./
COPY --from=extract application/ ./
